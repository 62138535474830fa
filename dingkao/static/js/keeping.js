// A form with data-keep="key" keeps on this phone what is typed into it, until the server has accepted it: a killed page or a cut network
// lose nothing. It is posted here; without a network the person stays on the page and it is sent when the network is back.
// Not kept: passwords, codes, files, hidden fields (but those with data-keep-too, such as a version). data-answered: the page answers a
// post, so what it shows is newer. data-forget="prefix": everything under the prefix goes once this form is accepted.
const PREFIX = "dk-keep:";
const OFFLINE = "网络不通,内容已保留在本机,恢复后会自动保存";
const UNKEPT = ["password", "file", "submit", "button", "image", "reset"];

function stored(act) {
  try {
    return act(window.localStorage);
  } catch (_) {
    return null; // no storage, or none left: the page itself still holds what was typed
  }
}

function keepable(one) {
  if (!one.name || UNKEPT.includes(one.type) || one.autocomplete === "one-time-code") return false;
  return one.type !== "hidden" || "keepToo" in one.dataset;
}

function values(form) {
  const found = {};
  for (const one of form.elements) {
    if (!keepable(one)) continue;
    found[one.name] = found[one.name] || [];
    if (one.type === "radio" || one.type === "checkbox" ? one.checked : true) found[one.name].push(one.value);
  }
  return found;
}

function put(form, given) {
  for (const one of form.elements) {
    if (!keepable(one) || !given[one.name]) continue;
    if (one.type === "radio" || one.type === "checkbox") one.checked = given[one.name].includes(one.value);
    else if (given[one.name].length) one.value = given[one.name][0];
  }
}

function install(form) {
  const key = PREFIX + form.dataset.keep;
  const calm = form.querySelector("[data-calm]") || document.querySelector("[data-calm]");
  let timer = 0;
  let pressed = null;
  const remember = () => stored((storage) => storage.setItem(key, JSON.stringify({ at: Date.now(), values: values(form) })));
  const calmly = (text, login) => {
    if (!calm) return;
    calm.hidden = !text;
    calm.textContent = text;
    if (login && form.dataset.login) calm.append(" ", Object.assign(document.createElement("a"), { href: form.dataset.login, textContent: "重新登录" }));
  };

  const kept = stored((storage) => JSON.parse(storage.getItem(key)));
  if (kept && "answered" in form.dataset) remember();
  else if (kept && JSON.stringify(kept.values) !== JSON.stringify(values(form))) {
    put(form, kept.values);
    form.before(Object.assign(document.createElement("p"), { className: "told", textContent: "已恢复本机保留的、还没有保存的内容,请核对后保存。" }));
    form.dispatchEvent(new Event("input"));
  }

  async function send(button) {
    const body = new FormData(form);
    if (button && button.name) body.append(button.name, button.value);
    let answer;
    let told = null;
    try {
      answer = await fetch(form.getAttribute("action") || window.location.href, { method: "POST", body, credentials: "same-origin", headers: { "X-Keeping": "1" } });
      if ((answer.headers.get("Content-Type") || "").startsWith("application/json")) told = await answer.json();
    } catch (_) {
      calmly(OFFLINE);
      timer = window.setTimeout(() => send(button), 10000);
      return;
    }
    if (answer.status >= 500) {
      delete form.dataset.sent;
      calmly("服务暂时连接不上,内容已保留在本机,请过一会儿再试。");
    } else if (told && told.leads && /\/login(\?|$)/.test(told.leads)) {
      delete form.dataset.sent;
      calmly("登录已过期,内容已保留在本机。", true);
    } else if (told && told.leads) {
      stored((storage) => {
        storage.removeItem(key);
        if (!form.dataset.forget) return;
        for (const one of Object.keys(storage)) if (one.startsWith(PREFIX + form.dataset.forget)) storage.removeItem(one);
      });
      window.location.assign(told.leads);
    } else {
      // Refused, and nothing done: the page that says why comes by the browser's own way.
      if (button && button.name) form.append(Object.assign(document.createElement("input"), { type: "hidden", name: button.name, value: button.value }));
      HTMLFormElement.prototype.submit.call(form); // by its own name it may be a button of the form
    }
  }

  form.addEventListener("input", remember);
  form.addEventListener("change", remember);
  // A button may stand outside the form that it belongs to.
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("button");
    if (button && button.form === form) pressed = button;
  });
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    window.clearTimeout(timer);
    calmly("保存中…");
    pressed = event.submitter || pressed;
    send(pressed);
  });
  window.addEventListener("online", () => {
    if (!timer) return;
    window.clearTimeout(timer);
    timer = 0;
    send(pressed);
  });
}

for (const form of document.querySelectorAll("form[data-keep]")) install(form);

// What steps have kept here and could not send.
for (const box of document.querySelectorAll("[data-unsent]")) {
  for (const one of box.querySelectorAll("[data-of]")) {
    if (stored((storage) => storage.getItem(PREFIX + box.dataset.unsent + one.dataset.of))) box.hidden = one.hidden = false;
  }
}

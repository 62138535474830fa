// A form with data-draft-key="key" keeps on this phone what is typed into it, until the server has
// accepted it: a killed page or a cut network
// lose nothing. It is posted here; without a network the person stays on the page and it is sent when the
// network is back.
// Not kept: passwords, codes, files, hidden fields (but those with data-draft-with, such as a version).
// data-answered: the page answers a
// post, so what it shows is newer. data-remove-stored="prefix": everything under the prefix goes once
// this form is accepted.
const PREFIX = "dk-keep:";
const OFFLINE = "网络不通，内容已保留在本机，恢复后会自动保存";
const EXCLUDED_TYPES = ["password", "file", "submit", "button", "image", "reset"];

function withStorage(act) {
  try {
    return act(window.localStorage);
  } catch (_) {
    return null; // no storage, or none left: the page itself still holds what was typed
  }
}

function isStorable(one) {
  if (!one.name || EXCLUDED_TYPES.includes(one.type) || one.autocomplete === "one-time-code") return false;
  return one.type !== "hidden" || "keepToo" in one.dataset;
}

function values(form) {
  const found = {};
  for (const one of form.elements) {
    if (!isStorable(one)) continue;
    found[one.name] = found[one.name] || [];
    if (one.type === "radio" || one.type === "checkbox" ? one.checked : true) found[one.name].push(one.value);
  }
  return found;
}

function setValues(form, given) {
  for (const one of form.elements) {
    if (!isStorable(one) || !given[one.name]) continue;
    if (one.type === "radio" || one.type === "checkbox") one.checked = given[one.name].includes(one.value);
    else if (given[one.name].length) one.value = given[one.name][0];
  }
}

function install(form) {
  const key = PREFIX + form.dataset.draftKey;
  const calm =
    form.querySelector("[data-conflict-notice]") || document.querySelector("[data-conflict-notice]");
  let timer = 0;
  let pressed = null;
  const remember = () =>
    withStorage((storage) => storage.setItem(key, JSON.stringify({ at: Date.now(), values: values(form) })));
  const calmly = (text, login) => {
    if (!calm) return;
    calm.hidden = !text;
    calm.textContent = text;
    if (login && form.dataset.loginUrl)
      calm.append(
        " ",
        Object.assign(document.createElement("a"), { href: form.dataset.loginUrl, textContent: "重新登录" }),
      );
  };

  const kept = withStorage((storage) => JSON.parse(storage.getItem(key)));
  if (kept && "answered" in form.dataset) remember();
  else if (kept && JSON.stringify(kept.values) !== JSON.stringify(values(form))) {
    setValues(form, kept.values);
    form.before(
      Object.assign(document.createElement("p"), {
        className: "confirmation",
        textContent: "已恢复本机保留的、还没有保存的内容，请核对后保存。",
      }),
    );
    form.dispatchEvent(new Event("input"));
  }

  async function send(button) {
    const body = new FormData(form);
    if (button && button.name) body.append(button.name, button.value);
    let answer;
    let told = null;
    try {
      answer = await fetch(form.getAttribute("action") || window.location.href, {
        method: "POST",
        body,
        credentials: "same-origin",
        headers: { "X-Keeping": "1" },
      });
      if ((answer.headers.get("Content-Type") || "").startsWith("application/json"))
        told = await answer.json();
    } catch (_) {
      calmly(OFFLINE);
      timer = window.setTimeout(() => send(button), 10000);
      return;
    }
    if (answer.status >= 500) {
      delete form.dataset.sent;
      calmly("服务暂时连接不上，内容已保留在本机，请过一会儿再试。");
    } else if (told && told.leads && /\/login(\?|$)/.test(told.leads)) {
      delete form.dataset.sent;
      calmly("登录已过期，内容已保留在本机。", true);
    } else if (told && told.leads) {
      withStorage((storage) => {
        storage.removeItem(key);
        if (!form.dataset.removeStored) return;
        for (const one of Object.keys(storage))
          if (one.startsWith(PREFIX + form.dataset.removeStored)) storage.removeItem(one);
      });
      window.location.assign(told.leads);
    } else {
      // Refused, and nothing done: the page that says why comes by the browser's own way.
      if (button && button.name)
        form.append(
          Object.assign(document.createElement("input"), {
            type: "hidden",
            name: button.name,
            value: button.value,
          }),
        );
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

for (const form of document.querySelectorAll("form[data-draft-key]")) install(form);

// What steps have kept here: told where the server has something else. Their pages are asked for it,
// because a page that was left while
// it saved never heard whether it was kept.
async function differs(key, address) {
  const kept = withStorage((storage) => JSON.parse(storage.getItem(key)));
  if (!kept) return false;
  let page;
  try {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (!answer.ok) return true;
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch (_) {
    return true;
  }
  const form = page.querySelector(
    `[data-store="${key.slice(PREFIX.length)}"], [data-draft-key="${key.slice(PREFIX.length)}"]`,
  );
  if (!form) return true;
  const shown = shownValues(form);
  const fields = kept.fields
    ? Object.entries(kept.fields).map(([name, one]) => [name, one.values])
    : Object.entries(kept.values);
  if (
    fields.some(
      ([name, given]) => JSON.stringify(given.filter(Boolean)) !== JSON.stringify(shown[name] || []),
    )
  )
    return true;
  withStorage((storage) => storage.removeItem(key));
  return false;
}

// What a form's page was sent with, by name; what is empty counts as nothing.
function shownValues(form) {
  const found = {};
  for (const one of form.elements) {
    if (!one.name) continue;
    found[one.name] = found[one.name] || [];
    if (one.type === "radio" || one.type === "checkbox" ? one.checked : one.value !== "")
      found[one.name].push(one.value);
  }
  return found;
}

for (const box of document.querySelectorAll("[data-draft-prefix]")) {
  for (const one of box.querySelectorAll("[data-draft-suffix]")) {
    differs(PREFIX + box.dataset.draftPrefix + one.dataset.draftSuffix, one.querySelector("a").href).then(
      (different) => {
        if (different) box.hidden = one.hidden = false;
      },
    );
  }
}

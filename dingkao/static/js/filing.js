// A step of the filing saves itself, field by field. What the server has not acknowledged stays on this phone and is sent when page or
// network are back; where another page was quicker the person chooses; a foot button without a network keeps the person on the page.
const form = document.getElementById("step");
const KEY = `dk-keep:${form.dataset.store}`;
const KEPT_FOR = 14 * 24 * 3600 * 1000;
const PAUSE = 1500;
const OFFLINE = "网络不通,内容已保留在本机,恢复后会自动保存";
const calm = document.querySelector("[data-calm]");
const saving = document.querySelector("[data-saving]");
const known = JSON.parse(form.elements.known.getAttribute("value"));
const names = Object.keys(known);
const own = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => (byte % 36).toString(36)).join("");
const accepted = {}; // what the server last had from this page, by field
const faulted = {}; // what it could not keep: the values and the sentence
const conflicts = {}; // what another page or device has kept meanwhile
const copy = read();
let line = Promise.resolve("saved");
let timer = 0;
let patience = 5000;
let refused = "";
let pressed = null;

function read() {
  try {
    const now = Date.now();
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith("dk-keep:") && now - (JSON.parse(localStorage.getItem(key)).at || 0) > KEPT_FOR) localStorage.removeItem(key);
    }
    return JSON.parse(localStorage.getItem(KEY)) || { fields: {} };
  } catch (_) {
    return { fields: {} };
  }
}

function write() {
  try {
    if (Object.keys(copy.fields).length) localStorage.setItem(KEY, JSON.stringify({ at: Date.now(), fields: copy.fields }));
    else localStorage.removeItem(KEY);
  } catch (_) {
    // No storage, or none left: the page itself still holds what was typed.
  }
}

const controls = (name) => Array.from(form.querySelectorAll(`[name="${name}"]`));
const ticked = (one) => one.type === "radio" || one.type === "checkbox";
const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const cell = (name) => form.querySelector(`[data-field="${name}"]`);
const halfTyped = (name) => controls(name).some((one) => one.validity && one.validity.badInput);

function values(name) {
  return controls(name).filter((one) => (ticked(one) ? one.checked : one.value !== "")).map((one) => one.value);
}

function rendered(name) {
  const found = [];
  for (const one of controls(name)) {
    if (ticked(one)) {
      if (one.defaultChecked) found.push(one.value);
    } else if (one.tagName === "SELECT") {
      for (const option of one.options) if (option.defaultSelected && option.value) found.push(option.value);
    } else if (one.defaultValue !== "") found.push(one.defaultValue);
  }
  return found;
}

function put(name, given) {
  for (const one of controls(name)) {
    if (ticked(one)) one.checked = given.includes(one.value);
    else one.value = given.length ? given[0] : "";
  }
}

function element(tag, properties, ...inside) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...inside);
  return made;
}

function say(text, late) {
  saving.hidden = false;
  saving.textContent = text;
  saving.classList.toggle("waiting", Boolean(late));
}

function calmly(text, link) {
  calm.hidden = !text;
  calm.textContent = text;
  if (link) calm.append(" ", element("a", { href: form.dataset.login, textContent: "重新登录" }));
}

function tellFault(name, sentence) {
  const place = cell(name);
  let told = document.getElementById(`${name}-said`);
  if (!sentence) {
    if (told) told.remove();
    place.classList.remove("field_wrong");
  } else {
    if (!told) {
      told = element("p", { className: "wrong", id: `${name}-said` });
      place.querySelector(".weui-cell__bd").append(told);
    }
    told.textContent = sentence;
    place.classList.add("field_wrong");
  }
  for (const one of controls(name)) {
    if (sentence) {
      one.setAttribute("aria-invalid", "true");
    } else {
      one.removeAttribute("aria-invalid");
    }
    const about = ["unit", "hint", "said"].map((what) => `${name}-${what}`).filter((id) => document.getElementById(id));
    if (about.length) one.setAttribute("aria-describedby", about.join(" "));
    else one.removeAttribute("aria-describedby");
  }
}

function wordsOf(name) {
  const found = controls(name).filter((one) => (ticked(one) ? one.checked : one.value !== ""));
  const told = found.map((one) => {
    if (one.tagName === "SELECT") return one.selectedOptions[0].textContent;
    return ticked(one) ? one.parentElement.textContent.trim() : one.value;
  });
  return told.join("、") || "空";
}

function tellConflict(name) {
  const old = document.getElementById(`${name}-differs`);
  if (old) old.remove();
  const other = conflicts[name];
  if (!other) return;
  const button = (text, act) => {
    const made = element("button", { type: "button", className: "weui-btn weui-btn_mini weui-btn_default", textContent: text });
    made.addEventListener("click", () => {
      known[name] = other.mark;
      delete conflicts[name];
      tellConflict(name);
      act();
      flush();
    });
    return made;
  };
  const box = element(
    "div", { className: "differs", id: `${name}-differs` },
    element("p", { textContent: "这一项在另一页面或设备上改过,请选择保留哪一个:" }),
    element("p", { textContent: `本页:${wordsOf(name)}` }),
    element("p", { textContent: `已保存:${other.words}` }),
    button("用本页的", () => remember(name)),
    button("用已保存的", () => {
      put(name, other.theirs);
      accepted[name] = values(name);
      forget(name);
      appear();
    }),
  );
  box.setAttribute("role", "alert");
  cell(name).querySelector(".weui-cell__bd").append(box);
}

function remember(name) {
  const before = copy.fields[name];
  copy.fields[name] = { values: values(name), known: known[name], pen: before ? before.pen : own };
  write();
}

function forget(name) {
  delete copy.fields[name];
  write();
}

const dirty = (name) => !same(values(name), accepted[name]) && !halfTyped(name);
const pending = () => names.filter((name) => dirty(name) && !conflicts[name] && !(faulted[name] && same(faulted[name].values, values(name))));
const penOf = (name) => (copy.fields[name] ? copy.fields[name].pen : own);

// One request: the fields `given`, each for itself. Gives saved, offline or refused.
async function post(given, pen, leaving) {
  const body = new URLSearchParams({ csrf_token: form.elements.csrf_token.value, pen });
  const sent = {};
  const marks = {};
  for (const name of given) {
    sent[name] = values(name);
    marks[name] = known[name];
    for (const one of sent[name]) body.append(name, one);
  }
  body.append("known", JSON.stringify(marks));
  let answer;
  let told = {};
  const stop = typeof AbortController === "function" ? new AbortController() : null;
  const patienceOver = window.setTimeout(() => stop && stop.abort(), 20000);
  try {
    answer = await fetch(form.dataset.autosave, {
      method: "POST", body, credentials: "same-origin", keepalive: Boolean(leaving) && body.toString().length < 60000,
      headers: { Accept: "application/json", "X-Keeping": "1" }, signal: stop ? stop.signal : undefined,
    });
    told = await answer.json();
  } catch (_) {
    if (!answer || answer.status < 400) return "offline";
  } finally {
    window.clearTimeout(patienceOver);
  }
  if (answer.status >= 500 || answer.status === 429) return "offline";
  if (told.leads) {
    refused = "登录已过期,内容已保留在本机。";
    return "refused";
  }
  if (!answer.ok) {
    refused = told.error || "暂时不能保存,内容已保留在本机。";
    return "refused";
  }
  refused = "";
  for (const [name, one] of Object.entries(told.fields)) {
    if (one.fault) {
      faulted[name] = { values: sent[name], sentence: one.fault };
      if (!cell(name).contains(document.activeElement) || leaving === false) tellFault(name, one.fault);
      continue;
    }
    delete faulted[name];
    if (!halfTyped(name)) tellFault(name, "");
    if (one.theirs) {
      conflicts[name] = one;
      tellConflict(name);
      continue;
    }
    known[name] = one.mark;
    accepted[name] = sent[name];
    if (same(values(name), sent[name])) forget(name);
    else if (copy.fields[name]) copy.fields[name].pen = own;
  }
  for (const place of form.querySelectorAll("[data-field]")) {
    const doubt = place.querySelector("[data-doubt]");
    doubt.textContent = told.doubts[place.dataset.field] || "";
    doubt.hidden = !doubt.textContent;
  }
  for (const step of document.querySelectorAll("[data-step]")) {
    if (!step.classList.contains("here") && !step.classList.contains("mend")) {
      step.classList.toggle("done", !told.lacking.includes(Number(step.dataset.step)));
    }
  }
  say(`已保存 ${told.saved},尚未提交`);
  return "saved";
}

async function work(all, leaving) {
  for (let round = 0; round < 6; round += 1) {
    const fresh = pending();
    const wanted = all && round === 0 ? names.filter((name) => !halfTyped(name) && !conflicts[name]) : fresh.concat(Object.keys(faulted).filter((name) => !fresh.includes(name)));
    if (!(all && round === 0) && !fresh.length) return "saved";
    if (navigator.onLine === false) return "offline";
    if (fresh.length || all) say("保存中…");
    for (const pen of new Set([own].concat(wanted.map(penOf)))) {
      const given = wanted.filter((name) => penOf(name) === pen);
      if (!given.length && !(all && pen === own)) continue;
      const result = await post(given, pen, all ? false : leaving);
      if (result !== "saved") return result;
    }
  }
  return "saved";
}

// Saves whatever waits, one request after the other; `all`: every field, as a foot button does.
function flush(all, leaving) {
  line = line.then(() => work(all, leaving)).then((result) => {
    window.clearTimeout(timer);
    if (result === "saved") {
      patience = 5000;
      calmly("");
    } else if (result === "offline") {
      if (pending().length) say("未保存,等待网络", true);
      timer = window.setTimeout(flush, patience);
      patience = Math.min(patience * 1.5, 60000);
    } else {
      say("未保存", true);
      calmly(refused, refused.startsWith("登录"));
    }
    return result;
  });
  return line;
}

// What an answer makes needless is hidden by the style sheet; the length of a report is told here.
function appear() {
  for (const told of form.querySelectorAll("[data-least]")) {
    const text = told.parentElement.querySelector("textarea").value;
    told.textContent = `现有${Array.from(text.replace(/\s/g, "")).length}字,不少于${told.dataset.least}字`;
  }
}

function changed(event) {
  const name = event.target.name;
  if (!names.includes(name)) return;
  if (same(values(name), accepted[name]) && !faulted[name]) forget(name);
  else if (!halfTyped(name)) remember(name);
  if (conflicts[name]) tellConflict(name);
  appear();
  window.clearTimeout(timer);
  if (event.type === "change") flush();
  else timer = window.setTimeout(flush, PAUSE);
}

function summary(found) {
  const old = document.getElementById("summary");
  if (old) old.remove();
  const list = element("ul", {});
  for (const [name, sentence] of found) list.append(element("li", {}, element("a", { href: `#${name}`, textContent: sentence })));
  const box = element("div", { className: "summary", id: "summary", tabIndex: -1 }, element("p", { textContent: "其余内容已保存,请更正以下内容:" }), list);
  box.setAttribute("role", "alert");
  form.before(box);
  box.focus();
  box.scrollIntoView();
}

function wrongs() {
  const found = [];
  for (const name of names) {
    if (halfTyped(name)) found.push([name, "日期没有填写完整,请补全或清空。"]);
    else if (conflicts[name]) found.push([name, "有一项在另一页面或设备上改过,请选择保留哪一个。"]);
    else if (faulted[name]) found.push([name, faulted[name].sentence]);
  }
  return found;
}

form.addEventListener("input", changed);
form.addEventListener("change", changed);
form.addEventListener("focusout", (event) => {
  const name = event.target.name;
  if (!names.includes(name)) return;
  if (halfTyped(name)) tellFault(name, "日期没有填写完整,请补全或清空。");
  else if (faulted[name]) tellFault(name, faulted[name].sentence);
});
document.addEventListener("click", (event) => {
  pressed = event.target.closest && event.target.closest("button");
});
form.addEventListener("submit", async (event) => {
  if (event.defaultPrevented) return;
  event.preventDefault();
  const button = event.submitter || pressed || {};
  const result = await flush(true);
  delete form.dataset.sent;
  if (result === "offline") {
    calmly(OFFLINE);
    return;
  }
  if (result === "refused") return;
  const found = wrongs();
  if (found.length) {
    for (const [name, sentence] of found) if (!conflicts[name]) tellFault(name, sentence);
    summary(found);
  } else if (button.name === "list") {
    form.elements.known.value = JSON.stringify(known);
    form.elements.pen.value = own;
    form.append(element("input", { type: "hidden", name: "list", value: button.value }));
    form.submit();
  } else if (button.name === "stay") {
    window.location.assign(button.value);
  } else if (button.dataset && button.dataset.leads) {
    window.location.assign(button.dataset.leads);
  } else {
    calmly("已保存,尚未提交。全部填好后请在最后一步提交。");
  }
});
window.addEventListener("online", () => flush());
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload();
});
document.addEventListener("visibilitychange", () => {
  flush(false, document.visibilityState === "hidden");
});

for (const name of names) accepted[name] = rendered(name);
for (const told of form.querySelectorAll(".field_wrong")) {
  const name = told.dataset.field;
  faulted[name] = { values: rendered(name), sentence: told.querySelector(".wrong").textContent };
  accepted[name] = null;
}
let restored = false;
for (const [name, one] of Object.entries(copy.fields)) {
  if (!names.includes(name)) delete copy.fields[name];
  else if (!same(values(name), one.values)) {
    put(name, one.values);
    known[name] = one.known;
    restored = true;
  }
}
for (const name of names) if (dirty(name) && !copy.fields[name]) remember(name);
write();
appear();
if (restored) form.before(element("p", { className: "told", textContent: "已恢复本机保留的、还没有保存成功的内容。" }));
flush();

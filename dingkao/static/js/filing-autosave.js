// A step of the filing saves itself, field by field. What the server has not acknowledged stays on this
// phone and is sent when page or network are back; where another page was quicker the person chooses; a
// foot button without a network keeps the person on the page.
import {
  form,
  etags,
  isIncomplete,
  makeElement,
  names,
  onPageShown,
  rendered,
  same,
  setControlValue,
  showConflictNotice,
  showFieldError,
  values,
} from "./filing-autosave/fields.js";
import { clientId, forget, localCopy, remember, writeLocalCopy } from "./filing-autosave/local-copy.js";
import {
  accepted,
  cancelFlush,
  conflicts,
  dirty,
  flush,
  flushAfter,
  rejected,
  showConflict,
} from "./filing-autosave/saving.js";

const SAVE_DELAY_MS = 1500;
const OFFLINE = "网络不通，内容已保留在本机，恢复后会自动保存";
let pressed = null;

function changed(event) {
  const name = event.target.name;
  if (!names.includes(name)) return;
  if (same(values(name), accepted[name]) && !rejected[name]) forget(name);
  else if (!isIncomplete(name)) remember(name);
  if (conflicts[name]) showConflict(name);
  onPageShown();
  cancelFlush();
  if (event.type === "change") flush();
  else flushAfter(SAVE_DELAY_MS);
}

function summary(found) {
  const old = document.getElementById("summary");
  if (old) old.remove();
  const list = makeElement("ul", {});
  for (const [name, sentence] of found)
    list.append(makeElement("li", {}, makeElement("a", { href: `#${name}`, textContent: sentence })));
  const box = makeElement(
    "div",
    { className: "error-summary", id: "summary", tabIndex: -1 },
    makeElement("p", { textContent: "其余内容已保存，请更正以下内容：" }),
    list,
  );
  box.setAttribute("role", "alert");
  form.before(box);
  box.focus();
  box.scrollIntoView();
}

function hasErrors() {
  const found = [];
  for (const name of names) {
    if (isIncomplete(name)) found.push([name, "日期没有填写完整，请补全或清空。"]);
    else if (conflicts[name]) found.push([name, "有一项在另一页面或设备上改过，请选择保留哪一个。"]);
    else if (rejected[name]) found.push([name, rejected[name].sentence]);
  }
  return found;
}

form.addEventListener("input", changed);
form.addEventListener("change", changed);
form.addEventListener("focusout", (event) => {
  const name = event.target.name;
  if (!names.includes(name)) return;
  if (isIncomplete(name)) showFieldError(name, "日期没有填写完整，请补全或清空。");
  else if (rejected[name]) showFieldError(name, rejected[name].sentence);
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
    showConflictNotice(OFFLINE);
    return;
  }
  if (result === "refused") return;
  const found = hasErrors();
  if (found.length) {
    for (const [name, sentence] of found) if (!conflicts[name]) showFieldError(name, sentence);
    summary(found);
  } else if (button.name === "list") {
    form.elements.known.value = JSON.stringify(etags);
    form.elements.pen.value = clientId;
    form.append(makeElement("input", { type: "hidden", name: "list", value: button.value }));
    form.submit();
  } else if (button.name === "stay") {
    window.location.assign(button.value);
  } else if (button.dataset && button.dataset.destination) {
    window.location.assign(button.dataset.destination);
  } else {
    showConflictNotice("已保存，尚未提交。全部填好后请在最后一步提交。");
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
for (const told of form.querySelectorAll(".form-field--invalid")) {
  const name = told.dataset.field;
  rejected[name] = { values: rendered(name), sentence: told.querySelector(".field-error").textContent };
  accepted[name] = null;
}
let restored = false;
for (const [name, one] of Object.entries(localCopy.fields)) {
  // a page that was left while it saved never heard that the server keeps it
  if (!names.includes(name) || same(values(name), one.values)) delete localCopy.fields[name];
  else {
    setControlValue(name, one.values);
    etags[name] = one.known;
    restored = true;
  }
}
for (const name of names) if (dirty(name) && !localCopy.fields[name]) remember(name);
writeLocalCopy();
onPageShown();
if (restored)
  form.before(
    makeElement("p", { className: "confirmation", textContent: "已恢复本机保留的、还没有保存成功的内容。" }),
  );
flush();

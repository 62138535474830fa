// Saving, field by field: what waits is sent one request after the other, and again where there was no
// network; where another page was quicker the person chooses.
import {
  cell,
  displayValue,
  etags,
  form,
  isIncomplete,
  makeElement,
  names,
  onPageShown,
  same,
  setControlValue,
  showConflictNotice,
  showFieldError,
  showStatus,
  values,
} from "./fields.js";
import { clientId, forget, localCopy, remember } from "./local-copy.js";

export const accepted = {}; // what the server last had from this page, by field
export const rejected = {}; // what it could not keep: the values and the sentence
export const conflicts = {}; // what another page or device has kept meanwhile
let saveQueue = Promise.resolve("saved");
let timer = 0;
let retryDelay = 5000;
let refused = "";

export function showConflict(name) {
  const old = document.getElementById(`${name}-differs`);
  if (old) old.remove();
  const other = conflicts[name];
  if (!other) return;
  const button = (text, act) => {
    const made = makeElement("button", {
      type: "button",
      className: "button button--small button--default",
      textContent: text,
    });
    made.addEventListener("click", () => {
      etags[name] = other.mark;
      delete conflicts[name];
      showConflict(name);
      act();
      flush();
    });
    return made;
  };
  const box = makeElement(
    "div",
    { className: "value-conflict", id: `${name}-differs` },
    makeElement("p", { textContent: "这一项在另一页面或设备上改过，请选择保留哪一个：" }),
    makeElement("p", { textContent: `本页：${displayValue(name)}` }),
    makeElement("p", { textContent: `已保存：${other.words}` }),
    button("用本页的", () => remember(name)),
    button("用已保存的", () => {
      setControlValue(name, other.theirs);
      accepted[name] = values(name);
      forget(name);
      onPageShown();
    }),
  );
  box.setAttribute("role", "alert");
  cell(name).querySelector(".form-field__body").append(box);
}

export const dirty = (name) => !same(values(name), accepted[name]) && !isIncomplete(name);
const pending = () =>
  names.filter(
    (name) =>
      dirty(name) && !conflicts[name] && !(rejected[name] && same(rejected[name].values, values(name))),
  );
const clientIdOf = (name) => (localCopy.fields[name] ? localCopy.fields[name].pen : clientId);

// One request: the fields `given`, each for itself. Gives saved, offline or refused.
async function post(given, pen, leaving) {
  const body = new URLSearchParams({ csrf_token: form.elements.csrf_token.value, pen });
  const sent = {};
  const marks = {};
  for (const name of given) {
    sent[name] = values(name);
    marks[name] = etags[name];
    for (const one of sent[name]) body.append(name, one);
  }
  body.append("known", JSON.stringify(marks));
  let answer;
  let told = {};
  const stop = typeof AbortController === "function" ? new AbortController() : null;
  const patienceOver = window.setTimeout(() => stop && stop.abort(), 20000);
  try {
    answer = await fetch(form.dataset.autosave, {
      method: "POST",
      body,
      credentials: "same-origin",
      keepalive: Boolean(leaving) && body.toString().length < 60000,
      headers: { Accept: "application/json", "X-Keeping": "1" },
      signal: stop ? stop.signal : undefined,
    });
    told = await answer.json();
  } catch (_) {
    if (!answer || answer.status < 400) return "offline";
  } finally {
    window.clearTimeout(patienceOver);
  }
  if (answer.status >= 500 || answer.status === 429) return "offline";
  if (told.leads) {
    refused = "登录已过期，内容已保留在本机。";
    return "refused";
  }
  if (!answer.ok) {
    refused = told.error || "暂时不能保存，内容已保留在本机。";
    return "refused";
  }
  refused = "";
  for (const [name, one] of Object.entries(told.fields)) {
    if (one.fault) {
      rejected[name] = { values: sent[name], sentence: one.fault };
      if (!cell(name).contains(document.activeElement) || leaving === false) showFieldError(name, one.fault);
      continue;
    }
    delete rejected[name];
    if (!isIncomplete(name)) showFieldError(name, "");
    if (one.theirs) {
      conflicts[name] = one;
      showConflict(name);
      continue;
    }
    etags[name] = one.mark;
    accepted[name] = sent[name];
    if (same(values(name), sent[name])) forget(name);
    else if (localCopy.fields[name]) localCopy.fields[name].pen = clientId;
  }
  for (const place of form.querySelectorAll("[data-field]")) {
    const doubt = place.querySelector("[data-warning]");
    doubt.textContent = told.doubts[place.dataset.field] || "";
    doubt.hidden = !doubt.textContent;
  }
  for (const step of document.querySelectorAll("[data-step]")) {
    if (!step.classList.contains("is-current") && !step.classList.contains("needs-change")) {
      step.classList.toggle("is-done", !told.lacking.includes(Number(step.dataset.step)));
    }
  }
  const wrong = Object.keys(rejected).length;
  if (wrong) showStatus(`有${wrong}项未保存，请更正；其余已保存 ${told.saved}，尚未提交`, true);
  else showStatus(`已保存 ${told.saved}，尚未提交`);
  return "saved";
}

async function saveNow(all, leaving) {
  for (let round = 0; round < 6; round += 1) {
    const fresh = pending();
    const wanted =
      all && round === 0
        ? names.filter((name) => !isIncomplete(name) && !conflicts[name])
        : fresh.concat(Object.keys(rejected).filter((name) => !fresh.includes(name)));
    if (!(all && round === 0) && !fresh.length) return "saved";
    if (navigator.onLine === false) return "offline";
    if (fresh.length || all) showStatus("保存中…");
    for (const pen of new Set([clientId].concat(wanted.map(clientIdOf)))) {
      const given = wanted.filter((name) => clientIdOf(name) === pen);
      if (!given.length && !(all && pen === clientId)) continue;
      const result = await post(given, pen, all ? false : leaving);
      if (result !== "saved") return result;
    }
  }
  return "saved";
}

// Saves whatever waits, one request after the other; `all`: every field, as a foot button does.
export function flush(all, leaving) {
  saveQueue = saveQueue
    .then(() => saveNow(all, leaving))
    .then((result) => {
      window.clearTimeout(timer);
      if (result === "saved") {
        retryDelay = 5000;
        showConflictNotice("");
      } else if (result === "offline") {
        if (pending().length) showStatus("未保存，等待网络", true);
        timer = window.setTimeout(flush, retryDelay);
        retryDelay = Math.min(retryDelay * 1.5, 60000);
      } else {
        showStatus("未保存", true);
        showConflictNotice(refused, refused.startsWith("登录"));
      }
      return result;
    });
  return saveQueue;
}

// Whatever waits is saved when the person has paused for so long.
export function flushAfter(delay) {
  timer = window.setTimeout(flush, delay);
}

export function cancelFlush() {
  window.clearTimeout(timer);
}

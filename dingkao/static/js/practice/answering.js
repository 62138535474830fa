// Answering: the options of the question, what is tapped of them, and its way to the server.
import { queueAnswer, queueStar, removeRows, sendRows } from "../practice-queue.js";
import { renderText } from "../question-text.js";
import { makeElement, optionVerdict, showMessage, star, status, verdict } from "./display.js";
import { address, byId, known, place, run, source, starred, state, waiting } from "./state.js";

// the question whose options stand on the page; at first as the server made them
let renderedPosition = state.currentPosition;
let sending = false;
let pause = 0;
let timer = 0;
const SIGNED_OUT = "登录已过期。您的答案存在这台手机上，重新登录后自动保存。";
const SIGNED_OUT_HERE = "登录已过期。这个浏览器不能在本机保存数据，还没有送达的答案重新登录后需要重做。";

export async function loadRun() {
  const stop = new AbortController();
  const late = window.setTimeout(() => stop.abort(), 30000);
  try {
    const reply = await fetch(source, {
      headers: { Accept: "application/json", "X-Requested-With": "fetch" },
      signal: stop.signal,
    });
    if (reply.redirected || !reply.ok) throw new Error("no data");
    return await reply.json();
  } finally {
    window.clearTimeout(late);
  }
}

export function options() {
  const question = state.questions[state.currentPosition];
  const given = known.get(state.currentPosition);
  const restore = state.currentPosition === renderedPosition ? keepOptionInput() : () => {};
  renderedPosition = state.currentPosition;
  const shown = question.options.map(([letter, words]) => {
    if (given) return optionVerdict(question, letter, words, given);
    const text = makeElement("span", {});
    renderText(text, words);
    const inside = [makeElement("b", { textContent: `${letter}.` }), text];
    if (question.several) {
      const box = makeElement("input", { type: "checkbox", name: "letter", value: letter });
      return makeElement("label", { className: "answer-option" }, box, ...inside);
    }
    const button = makeElement(
      "button",
      { type: "button", className: "answer-option", value: letter },
      ...inside,
    );
    button.addEventListener("click", () => recordAnswer(letter));
    return button;
  });
  byId("options").replaceChildren(...shown);
  if (question.several && !given) {
    const button = makeElement("button", {
      type: "button",
      className: "button button--primary",
      id: "settle",
      textContent: "确定",
    });
    button.addEventListener("click", confirmMultiple);
    byId("options").append(makeElement("div", { className: "button-group" }, button));
  }
  restore();
}

// What was ticked and where the focus stood outlive a rendering of the same question, also the first one,
// over the server's.
function keepOptionInput() {
  const ticked = [...byId("options").querySelectorAll("input:checked")].map((box) => box.value);
  const focused = byId("options").contains(document.activeElement) ? document.activeElement : null;
  return () => {
    for (const box of byId("options").querySelectorAll("input")) box.checked = ticked.includes(box.value);
    if (!focused) return;
    const controls = [...byId("options").querySelectorAll("button, input")];
    controls.find((control) => control.value === focused.value)?.focus({ preventScroll: true });
  };
}

function recordAnswer(letters) {
  if (state.closed || known.has(state.currentPosition) || state.questions[state.currentPosition].withdrawn)
    return;
  known.set(state.currentPosition, letters);
  const row = queueAnswer(
    run,
    address,
    state.currentPosition,
    letters,
    Math.round(Date.now() + state.clockOffset),
  );
  waiting.set(row.position, row);
  showMessage("");
  options();
  verdict();
  byId("options").querySelector(".is-correct, .is-incorrect").focus({ preventScroll: true });
  byId("outcome").scrollIntoView({ block: "nearest" });
  status();
  send();
}

function confirmMultiple() {
  const letters = [...byId("options").querySelectorAll("input:checked")].map((box) => box.value).join("");
  if (letters) recordAnswer(letters);
  else byId("verdict").textContent = "请至少选择一个选项，再按“确定”。";
}

export function toggleStar() {
  if (state.closed) return;
  if (!starred.delete(state.currentPosition)) starred.add(state.currentPosition);
  const row = queueStar(run, address, state.currentPosition, starred.has(state.currentPosition));
  waiting.set(row.position, row);
  star();
  status();
  send();
}

export async function send() {
  if (sending) return;
  sending = true;
  window.clearTimeout(timer);
  try {
    while (waiting.size) {
      const rows = [...waiting.values()];
      const reply = await sendRows(address, state.token, rows);
      if (reply.redirected) {
        showMessage(state.isStorageDurable ? SIGNED_OUT : SIGNED_OUT_HERE, [
          window.location.href,
          "重新登录",
        ]);
        throw new Error("signed out");
      }
      if (!reply.ok) {
        if (reply.status === 400) state.token = (await loadRun()).token; // the form's token grows old
        throw new Error("not kept");
      }
      const said = await reply.json();
      await removeRows(rows);
      for (const row of rows)
        if (waiting.get(row.position)?.sequence === row.sequence) waiting.delete(row.position);
      [pause, state.failing] = [0, false];
      applyServerState(said);
      if (said.closed && !state.closed) {
        state.closed = true;
        showMessage(said.closed, [place.replace(/\/practice\/.*/, "/home"), "返回主页"]);
      }
    }
  } catch {
    state.failing = true;
    pause = Math.min(pause ? pause * 2 : 1000, 15000);
    timer = window.setTimeout(send, pause);
  } finally {
    sending = false;
    status();
  }
}

// What the server keeps stands, also where another page answered first; what waits here is newer than its
// marks.
export function applyServerState(said) {
  state.clockOffset = said.now - Date.now();
  const before = known.get(state.currentPosition);
  for (const [position, letters] of Object.entries(said.answers)) known.set(Number(position), letters);
  const marks = [...waiting.values()].flatMap((row) => row.mark ?? []);
  starred.clear();
  for (const position of said.starred) starred.add(position);
  for (const { position, starred: on } of marks) on ? starred.add(position) : starred.delete(position);
  if (known.get(state.currentPosition) !== before) {
    options();
    verdict();
  }
  star();
}

// Answering: every tap is kept on this device and sent at once, and shown as saved when the server has said so. Time is the server's.
import { drop, forget, keep, kept, note, noted } from "./waiting.js";
import { fetchPictures, put } from "./words.js";

const data = JSON.parse(document.getElementById("data").textContent);
const part = (id) => document.getElementById(id);
const size = data.questions.length;
const known = new Map(); // position → { letters, sequence }: the newest that this page knows of, saved or not
const waiting = new Map(); // position → answer not yet acknowledged
const notes = noted(data.id);
const marked = new Set(notes.marked ?? []);
// How far the server's time is ahead of this device's steady clock, which may run a little fast or slow, and stand still while the device
// sleeps; by how much that may be wrong; and when it was asked.
let ahead = data.now - (performance.getEntriesByType?.("navigation")[0]?.responseStart || performance.now());
let doubt = Infinity;
let measured = 0;
let sequence = data.sequence;
let here = 0;
let sending = false;
let failing = false;
let pause = 0;
let timer = 0;
let ticking = 0;
let handing = false;
let over = false;
let ended = false; // over because the time is
let warned = Infinity;
const ASK_EVERY = 240000;
// How answers are sent: to the door of sittings by the token alone; a mock exam says how it has them.
const SAVING = data.saving ?? { credentials: "omit", headers: { "X-Sitting": data.token } };
const SEND = { method: "POST", credentials: SAVING.credentials, headers: { "Content-Type": "application/json", ...SAVING.headers, Accept: "application/json" } };
const WORDS = { confirm: "交卷后不能再修改,确定交卷?", signedOut: "登录已过期。答案仍会继续保存;交卷前请先", ...data.words };
const DRIFT = 0.001;
const WARNINGS = [
  [180, "考试时间还剩3分钟"],
  [600, "考试时间还剩10分钟"],
];

const now = () => performance.now() + ahead;
const letters = (position) => known.get(position)?.letters ?? "";
const two = (number) => String(number).padStart(2, "0");

// An answer that was long on its way tells the time less exactly than one before it, unless the two can't both be true.
function setClock(moment, asked) {
  const arrived = performance.now();
  const half = (arrived - asked) / 2;
  const found = moment + half - arrived;
  const trusted = doubt + (arrived - measured) * DRIFT;
  if (half > trusted && Math.abs(found - ahead) <= half + trusted) return;
  [ahead, doubt, measured] = [found, half, arrived];
}

async function ask(address, options = {}) {
  const stop = new AbortController();
  const late = window.setTimeout(() => stop.abort(), 15000);
  try {
    return await fetch(address, { ...options, signal: stop.signal });
  } finally {
    window.clearTimeout(late);
  }
}

// --- what is seen

function show() {
  const question = data.questions[here];
  const grouped = question.size > 1;
  const kind = grouped && question.kind !== "B1" ? "A3/A4" : question.kind;
  const named = kind === "TF" ? question.type : `${kind}型题${grouped ? `[${question.place}/${question.size}]` : ""} ${question.type}`;
  part("kind").textContent = named;
  part("which").textContent = `${here + 1}/${size}`;
  part("case").hidden = !question.case;
  put(part("case"), question.case);
  part("place").hidden = !grouped || question.kind === "B1";
  part("place").textContent = `第${question.place}小题`;
  put(part("stem"), question.stem, `${here + 1}. `, question.kind === "X" ? "(多选)" : "");
  part("options").replaceChildren(...question.options.map(([letter, words], index) => option(question, letter, words, "ABCDEFGHIJ"[index])));
  part("previous").disabled = here === 0;
  part("next").disabled = here === size - 1;
  paint();
}

function option(question, letter, words, label) {
  const button = document.createElement("button");
  const head = document.createElement("b");
  const body = document.createElement("span");
  button.type = "button";
  button.dataset.letter = letter;
  head.textContent = `${label}.`;
  put(body, words);
  button.append(head, body);
  button.addEventListener("click", () => tap(question, letter));
  return button;
}

// Only what changes with a tap: the buttons stay, and with them the focus.
function paint() {
  const chosen = letters(data.questions[here].position);
  for (const button of part("options").children) {
    const mine = chosen.includes(button.dataset.letter);
    button.className = mine ? "option chosen" : "option";
    button.setAttribute("aria-pressed", String(mine));
    button.disabled = over;
  }
  part("mark").textContent = marked.has(here) ? "★ 取消标注" : "☆ 标注本题";
  part("mark").setAttribute("aria-pressed", String(marked.has(here)));
}

function status() {
  const count = waiting.size;
  const stuck = failing || over;
  const words = count ? (stuck ? `未保存 ${count} 题` : "保存中…") : "已保存";
  if (part("state").textContent !== words) part("state").textContent = words;
  part("state").classList.toggle("bad", count > 0 && stuck);
  part("offline").hidden = !failing || over;
}

function tell(sentence, link) {
  part("told").hidden = !sentence;
  part("told").textContent = sentence;
  if (link) {
    const again = document.createElement("a");
    [again.href, again.textContent] = link;
    part("told").append(" ", again);
  }
  if (sentence) window.scrollTo(0, 0);
}

function stop(sentence, link = [window.location.href, "刷新页面"]) {
  [over, ended] = [true, false];
  window.clearTimeout(timer);
  only("question");
  tell(sentence, link);
  for (const id of ["finish", "mark"]) part(id).disabled = true;
  paint();
  status();
}

function tick() {
  window.clearTimeout(ticking);
  const exactly = data.closes - now();
  const left = Math.max(0, Math.ceil(exactly / 1000));
  part("clock").textContent = `倒计时: ${two(Math.floor(left / 3600))}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`;
  part("clock").classList.toggle("amber", left <= 600 && left > 180);
  part("clock").classList.toggle("red", left <= 180);
  const [mark, words] = WARNINGS.find(([seconds]) => left <= seconds) ?? [Infinity, ""];
  if (mark < warned && left > 0) part("time-said").textContent = words;
  warned = mark;
  if (over) return;
  if (left === 0) end();
  else ticking = window.setTimeout(tick, exactly - (left - 1) * 1000 + 1);
}

function only(id) {
  for (const one of ["question", "list", "confirm"]) part(one).hidden = one !== id;
  window.scrollTo(0, 0);
}

function go(index) {
  here = Math.max(0, Math.min(index, size - 1));
  only("question");
  show();
  remember();
}

// By whichever way one comes to a question, it is read out: where the button pressed stays, the focus stays on it.
function turn(index) {
  go(index);
  part("said").textContent = `第${here + 1}题,共${size}题。${part("stem").textContent}`;
}

function goTo(index) {
  go(index);
  part("stem").focus({ preventScroll: true });
}

function remember() {
  note(data.id, { here, marked: [...marked] });
}

const unanswered = () => data.questions.map((question, index) => [question, index]).filter(([question]) => !letters(question.position));

function list() {
  part("count").textContent = `已答${size - unanswered().length}/${size}题,★为标注的题`;
  part("sheet").replaceChildren(
    ...data.questions.map((question, index) => {
      const button = document.createElement("button");
      const done = Boolean(letters(question.position));
      button.type = "button";
      button.textContent = `${index + 1}${marked.has(index) ? "★" : ""}`;
      button.classList.toggle("answered", done);
      button.setAttribute("aria-label", `第${index + 1}题,${done ? "已答" : "未答"}${marked.has(index) ? ",已标注" : ""}`);
      button.addEventListener("click", () => goTo(index));
      return button;
    }),
  );
  only("list");
  part("list-title").focus({ preventScroll: true });
}

function confirmHandIn() {
  const left = unanswered();
  const which = `${left.slice(0, 10).map(([, index]) => index + 1).join("、")}${left.length > 10 ? "等" : ""}`;
  const sentence = left.length ? `还有${left.length}题没有作答(第${which}题)。` : "全部题目已作答。";
  part("confirm-said").textContent = `${sentence}${marked.size ? `有${marked.size}题标注了待检查。` : ""}${WORDS.confirm}`;
  only("confirm");
  part("confirm-title").focus({ preventScroll: true });
}

// --- what is kept and sent

function tap(question, letter) {
  if (over || now() > data.closes) return;
  const before = letters(question.position);
  let chosen = letter;
  if (question.kind === "X") chosen = before.includes(letter) ? before.replace(letter, "") : [...before, letter].sort().join("");
  // By the server's time, in hundredths of a second: of two pages or devices the later tap is the newer one.
  sequence = Math.max(sequence + 1, Math.floor((now() - data.opened) / 10));
  const answer = { sitting: data.id, position: question.position, letters: chosen, sequence, tapped: Math.round(now()) };
  known.set(question.position, answer);
  waiting.set(question.position, answer);
  paint();
  status();
  keep(answer);
  send();
}

async function send() {
  if (sending || over) return;
  sending = true;
  try {
    while (waiting.size && !over) {
      const answer = [...waiting.values()].sort((one, other) => one.sequence - other.sequence)[0];
      const asked = performance.now();
      let reply;
      try {
        reply = await ask(data.address, { ...SEND, body: JSON.stringify(sent(answer)) });
      } catch {
        later();
        return;
      }
      if (reply.redirected) {
        signedOut();
        later();
        return;
      }
      const said = await reply.json().catch(() => ({}));
      if (!reply.ok) {
        if ((said.final || reply.status === 400) && !handing) stop(said.error ?? "页面已失效,请刷新后继续。");
        else later();
        return;
      }
      setClock(said.now, asked);
      // Something newer is kept than what this page shows, which is not to stand under 已保存 before the page knows it.
      if (said.kept === "older" && !(await standing())) {
        later();
        return;
      }
      [pause, failing] = [0, false];
      if (waiting.get(answer.position)?.sequence === answer.sequence) waiting.delete(answer.position);
      drop(data.id, answer.position, answer.sequence);
      status();
    }
  } finally {
    sending = false;
  }
}

const sent = ({ position, letters: chosen, sequence: number, tapped }) => ({ position, letters: chosen, sequence: number, tapped });

function later() {
  failing = true;
  pause = Math.min(pause ? pause * 2 : 1000, 15000);
  window.clearTimeout(timer);
  timer = window.setTimeout(send, pause);
  status();
}

// What the server keeps under a higher number than we know of is newer: from another page, or from before a reload.
function adopt(answers, sequences) {
  for (const [position, chosen] of Object.entries(answers)) {
    const [place, number] = [Number(position), sequences[position]];
    sequence = Math.max(sequence, number);
    if (number < (known.get(place)?.sequence ?? 0)) continue;
    known.set(place, { letters: chosen, sequence: number });
    waiting.delete(place);
    drop(data.id, place, number);
  }
}

// Ask the server how the sitting stands; gives whether it has said so and this page goes on.
async function standing() {
  const idle = () => handing || (over && !ended);
  if (idle()) return false;
  const asked = performance.now();
  let said;
  try {
    const reply = await ask(data.standing, { headers: { Accept: "application/json", "X-Requested-With": "fetch" } });
    if (reply.redirected) {
      signedOut();
      return false;
    }
    if (!reply.ok) return false;
    said = await reply.json();
  } catch {
    failing = true;
    status();
    return false;
  }
  if (idle()) return false;
  setClock(said.now, asked);
  data.closes = said.closes;
  if (!said.open) {
    // What waits here came too late: handing it in has the server say so on the closing page.
    if (waiting.size) handIn(true);
    else {
      [over, ended] = [true, false];
      window.location.replace(data.end);
    }
    return false;
  }
  if (!said.mine) {
    stop("您已在另一台设备上继续作答,本页不能再保存。如需在此继续,请", [window.location.href, "刷新页面"]);
    return false;
  }
  failing = false;
  adopt(said.answers, said.sequences);
  if (ended && now() < data.closes) goOn();
  paint();
  status();
  send();
  return true;
}

// The time is over by this page's clock; the server's is asked, and may have been prolonged.
async function end() {
  await standing();
  if (now() < data.closes) {
    if (!over) tick();
  } else if (!over || ended) handIn(true);
}

function goOn() {
  [over, ended] = [false, false];
  part("finish").disabled = false;
  tell("");
  tick();
}

function signedOut() {
  tell(WORDS.signedOut, [window.location.href, "重新登录"]);
}

async function handIn(atTheEnd) {
  if (handing) return;
  handing = true;
  if (atTheEnd) {
    [over, ended] = [true, true];
    only("question");
    tell("作答时间已到,正在交卷…");
    part("finish").disabled = true;
    paint();
  }
  part("outstanding").value = JSON.stringify([...waiting.values()].map(sent));
  part("automatic").value = atTheEnd ? "1" : "";
  part("confirm-button").disabled = true;
  part("confirm-button").textContent = "正在交卷…";
  try {
    const form = part("hand-in");
    const reply = await ask(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json", "X-Requested-With": "fetch" } });
    if (reply.redirected) signedOut();
    else {
      const said = await reply.json();
      if (reply.ok) {
        over = true;
        await Promise.race([forget(data.id), new Promise((resolve) => window.setTimeout(resolve, 1000))]);
        window.location.replace(said.end);
        return;
      }
      tell(said.error ?? "暂时不能交卷,请稍后再试。");
    }
  } catch {
    failing = true;
    tell(
      atTheEnd
        ? "作答时间已到,网络未连接。已保存的答案由系统自动交卷;请保持本页打开,网络恢复后自动送出其余答案。"
        : "网络未连接,还没有交卷。答案都存在这台手机上,请保持本页打开,网络恢复后再点“确认交卷”。",
    );
  }
  handing = false;
  part("confirm-button").disabled = false;
  part("confirm-button").textContent = "确认交卷";
  if (atTheEnd) window.setTimeout(end, 3000);
  else {
    status();
    send();
  }
}

async function begin() {
  adopt(data.answers, data.sequences);
  for (const answer of await kept(data.id)) {
    if (answer.sequence <= (known.get(answer.position)?.sequence ?? 0)) drop(data.id, answer.position, answer.sequence);
    else {
      sequence = Math.max(sequence, answer.sequence);
      known.set(answer.position, answer);
      waiting.set(answer.position, answer);
    }
  }
  go(notes.here ?? Math.max(0, unanswered()[0]?.[1] ?? 0));
  part("show-list").disabled = false; // a press before this was good for nothing
  for (const id of ["finish", "mark"]) part(id).disabled = over;
  if (document.activeElement === document.body) part("stem").focus({ preventScroll: true });
  status();
  tick();
  send();
  standing();
  fetchPictures(data.questions);
}

// --- keys: only while the focus is in the question or on the buttons below it, so that they are in nobody's way

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && part("question").hidden && !handing) goTo(here);
  if (part("question").hidden || !document.activeElement?.closest("#question, .foot")) return;
  if (event.key === "ArrowLeft" && here > 0) goTo(here - 1);
  if (event.key === "ArrowRight" && here < size - 1) goTo(here + 1);
  const which = /^[1-9]$/.test(event.key) ? Number(event.key) - 1 : /^[a-j]$/i.test(event.key) ? event.key.toUpperCase().charCodeAt(0) - 65 : -1;
  part("options").querySelectorAll("button")[which]?.click();
}

document.addEventListener("keydown", press);
part("keys").hidden = !window.matchMedia?.("(hover: hover) and (pointer: fine)").matches;
part("previous").addEventListener("click", () => turn(here - 1));
part("next").addEventListener("click", () => turn(here + 1));
part("show-list").addEventListener("click", list);
part("close-list").addEventListener("click", () => goTo(here));
part("finish").addEventListener("click", confirmHandIn);
part("go-on").addEventListener("click", () => {
  tell("");
  goTo(here);
});
part("hand-in").addEventListener("submit", (event) => {
  event.preventDefault();
  delete part("hand-in").dataset.sent;
  handIn(false);
});
part("mark").addEventListener("click", () => {
  if (!marked.delete(here)) marked.add(here);
  paint();
  remember();
});
window.addEventListener("online", standing);
window.addEventListener("look", standing); // integrity.js has been told that something has changed
window.addEventListener("offline", () => {
  failing = true;
  status();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") standing();
});
window.setInterval(standing, ASK_EVERY);
begin();

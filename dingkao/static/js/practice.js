// Practice: the run is fetched once; from then on every tap is judged here, kept on this device and sent in the background, so that the
// fifty go on without network. Until it has come, and where it doesn't, the page works as the server made it, a page a question.
import { forgetRows, keepAnswer, keepMark, post } from "./practice-queue.js";
import { kept } from "./waiting.js";
import { fetchPictures, put } from "./words.js";

const part = (id) => document.getElementById(id);
const root = part("practice");
const { run, source, answers: address, place } = root.dataset;
const known = new Map(); // position → letters: the answer that stands, as far as this page knows
const starred = new Set();
const waiting = new Map(); // the queue's position → row not yet acknowledged
let questions = [];
let token = root.dataset.token;
let ahead = 0; // of this device's clock, to the server's
let here = Number(root.dataset.number) - 1;
let chosen = ""; // of a question with several right ones, before 「确定」
let sending = false;
let failing = false;
let closed = false;
let pause = 0;
let timer = 0;

const right = (position) => [...known.get(position)].sort().join("") === [...questions[position].answer].sort().join("");
const left = () => questions.flatMap((question, position) => (known.has(position) || question.withdrawn ? [] : [position]));

function make(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

async function fetched() {
  const stop = new AbortController();
  const late = window.setTimeout(() => stop.abort(), 30000);
  try {
    const reply = await fetch(source, { headers: { Accept: "application/json", "X-Requested-With": "fetch" }, signal: stop.signal });
    if (reply.redirected || !reply.ok) throw new Error("no data");
    return await reply.json();
  } finally {
    window.clearTimeout(late);
  }
}

// --- the question

function show() {
  const question = questions[here];
  chosen = "";
  part("which").textContent = `练习 ${here + 1}/${questions.length}`;
  document.title = document.title.replace(/^练习 \d+\/\d+/, part("which").textContent);
  part("kind").textContent = question.heading;
  for (const name of ["case", "place"]) {
    part(name).hidden = !question[name];
    put(part(name), question[name]);
  }
  put(part("stem"), question.stem, `${here + 1}. `, question.several ? "(多选)" : "");
  options();
  verdict();
  star();
  part("previous").toggleAttribute("data-none", here === 0);
  part("next").textContent = here < questions.length - 1 ? "下一题" : "查看答题卡";
}

function options() {
  const question = questions[here];
  const given = known.get(here);
  const shown = question.options.map(([letter, words]) => {
    if (given) return judged(question, letter, words, given);
    const text = make("span", {});
    put(text, words);
    const inside = [make("b", { textContent: `${letter}.` }), text];
    if (question.several) {
      const box = make("input", { type: "checkbox", name: "letter", value: letter });
      return make("label", { className: "option" }, box, ...inside);
    }
    const button = make("button", { type: "button", className: "option", value: letter }, ...inside);
    button.addEventListener("click", () => settle(letter));
    return button;
  });
  part("options").replaceChildren(...shown);
  if (question.several && !given) {
    const button = make("button", { type: "button", className: "weui-btn weui-btn_primary", id: "settle", textContent: "确定" });
    button.addEventListener("click", settleSeveral);
    part("options").append(make("div", { className: "buttons" }, button));
  }
}

// As the server's page has it: in words and by a mark, not by the colour alone.
function judged(question, letter, words, given) {
  const inKey = question.answer.includes(letter);
  const mine = given.includes(letter);
  const text = make("span", {});
  put(text, words);
  if (inKey || mine) text.append(make("small", { textContent: inKey && mine ? "✓ 您的选择,正确" : inKey ? "✓ 正确答案" : "✗ 您的选择,错误" }));
  const kind = inKey && mine ? " right" : inKey ? " missed" : mine ? " false" : "";
  return make("div", { className: `option${kind}`, tabIndex: -1 }, make("b", { textContent: `${letter}.` }), text);
}

function verdict() {
  const question = questions[here];
  const given = known.has(here) && !question.withdrawn;
  const said = given ? [make("strong", { textContent: right(here) ? "✓ 回答正确" : "✗ 回答错误" }), ` 正确答案: ${question.answer}`] : [];
  part("verdict").replaceChildren(...said);
  part("explanation").hidden = !given || !question.explanation;
  put(part("explanation"), given ? question.explanation : "");
}

function star() {
  part("star").textContent = starred.has(here) ? "★ 已标注" : "☆ 标注";
}

function settle(letters) {
  if (closed || known.has(here) || questions[here].withdrawn) return;
  known.set(here, letters);
  const row = keepAnswer(run, address, here, letters, Math.round(Date.now() + ahead));
  waiting.set(row.position, row);
  tell("");
  options();
  verdict();
  part("options").querySelector(".right, .false").focus({ preventScroll: true });
  part("outcome").scrollIntoView({ block: "nearest" });
  status();
  send();
}

function settleSeveral() {
  const letters = [...part("options").querySelectorAll("input:checked")].map((box) => box.value).join("");
  if (letters) settle(letters);
  else part("verdict").textContent = "请至少选择一个选项,再按“确定”。";
}

function mark() {
  if (closed) return;
  if (!starred.delete(here)) starred.add(here);
  const row = keepMark(run, address, here, starred.has(here));
  waiting.set(row.position, row);
  star();
  status();
  send();
}

function enlarge() {
  const large = root.classList.toggle("enlarged");
  part("large").textContent = large ? "还原" : "放大";
  const secure = window.location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${root.dataset.large}=${large ? 1 : 0}; path=/; max-age=31536000; samesite=lax${secure}`;
}

function go(position) {
  here = Math.max(0, Math.min(position, questions.length - 1));
  if (!closed) tell("");
  part("question").hidden = part("foot").hidden = false;
  part("sheet-part").hidden = true;
  show();
  window.history.replaceState(null, "", `${place}/${here + 1}`);
  window.scrollTo(0, 0);
  part("stem").focus({ preventScroll: true });
}

const onward = () => (here < questions.length - 1 ? go(here + 1) : sheet());

// --- the answer sheet

function sheet() {
  const done = [...known.keys()];
  const rightly = done.filter(right).length;
  const over = left().length === 0;
  part("count").textContent = `${done.length}/${questions.length}`;
  part("summary-said").textContent = over
    ? `本次练习已完成:共${questions.length}题,答对${rightly}题,答错${done.length - rightly}题。`
    : `已答${done.length}题,答对${rightly}题,还有${left().length}题没有做。`;
  part("only-wrong").hidden = rightly === done.length;
  part("again").hidden = !over;
  cells(questions.map((_, position) => position));
  part("question").hidden = part("foot").hidden = true;
  part("sheet-part").hidden = false;
  window.scrollTo(0, 0);
  part("sheet-title").focus({ preventScroll: true });
}

function cells(positions) {
  const made = positions.map((position) => {
    const answered = known.has(position);
    const button = make("button", { type: "button", className: answered ? "answered" : "" }, `${position + 1}`);
    if (answered) button.append(make("i", { textContent: right(position) ? "✓" : "✗" }));
    if (starred.has(position)) button.append("★");
    const said = answered ? (right(position) ? "答对" : "答错") : "未答";
    button.setAttribute("aria-label", `第${position + 1}题,${said}${starred.has(position) ? ",已标注" : ""}`);
    button.addEventListener("click", () => go(position));
    return button;
  });
  part("sheet").replaceChildren(...made);
}

// --- sending

function status() {
  part("state").textContent = waiting.size ? (failing ? "未保存,等待网络" : "保存中…") : "已保存";
  part("state").classList.toggle("bad", waiting.size > 0 && failing);
}

function tell(sentence, link) {
  part("told").hidden = !sentence;
  part("told").textContent = sentence;
  if (link) part("told").append(" ", make("a", { href: link[0], textContent: link[1] }));
}

async function send() {
  if (sending) return;
  sending = true;
  window.clearTimeout(timer);
  try {
    while (waiting.size) {
      const rows = [...waiting.values()];
      const reply = await post(address, token, rows);
      if (reply.redirected) {
        tell("登录已过期。您的答案存在这台手机上,重新登录后自动保存。", [window.location.href, "重新登录"]);
        throw new Error("signed out");
      }
      if (!reply.ok) {
        if (reply.status === 400) token = (await fetched()).token; // the form's token grows old
        throw new Error("not kept");
      }
      const said = await reply.json();
      await forgetRows(rows);
      for (const row of rows) if (waiting.get(row.position)?.sequence === row.sequence) waiting.delete(row.position);
      [pause, failing] = [0, false];
      adopt(said);
      if (said.closed && !closed) {
        closed = true;
        tell(said.closed, [place.replace(/\/practice\/.*/, "/home"), "返回主页"]);
      }
    }
  } catch {
    failing = true;
    pause = Math.min(pause ? pause * 2 : 1000, 15000);
    timer = window.setTimeout(send, pause);
  } finally {
    sending = false;
    status();
  }
}

// What the server keeps stands, also where another page answered first; what waits here is newer than its marks.
function adopt(said) {
  ahead = said.now - Date.now();
  const before = known.get(here);
  for (const [position, letters] of Object.entries(said.answers)) known.set(Number(position), letters);
  const marks = [...waiting.values()].flatMap((row) => row.mark ?? []);
  starred.clear();
  for (const position of said.starred) starred.add(position);
  for (const { position, starred: on } of marks) (on ? starred.add(position) : starred.delete(position));
  if (known.get(here) !== before) {
    options();
    verdict();
  }
  star();
}

// --- keys: only while the focus is in the question, so that they are in nobody's way

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && part("question").hidden) go(here);
  if (part("question").hidden || !(part("question").contains(document.activeElement) || document.activeElement?.closest("#foot"))) return;
  if (event.key === "ArrowLeft" && here > 0) go(here - 1);
  if (event.key === "ArrowRight") onward();
  const letter = /^[1-9]$/.test(event.key) ? questions[here].options[Number(event.key) - 1]?.[0] : event.key.toUpperCase();
  const control = [...part("options").querySelectorAll("button[value], input")].find((one) => one.value === letter);
  control?.click();
}

async function begin() {
  const rows = (await kept(run)).filter((row) => row.practice);
  let data;
  try {
    data = await fetched();
  } catch {
    // the page goes on as the server made it; what waits on this device is sent all the same
    for (const row of rows) waiting.set(row.position, row);
    if (rows.length) send();
    return;
  }
  [questions, token] = [data.questions, data.token];
  fetchPictures(questions);
  for (const row of rows) {
    if (row.answer && row.position in data.answers) forgetRows([row]);
    else waiting.set(row.position, row);
  }
  adoptAll(data);
  take();
  show();
  status();
  part("keys").hidden = !window.matchMedia?.("(hover: hover) and (pointer: fine)").matches;
  if (document.activeElement === document.body) part("stem").focus({ preventScroll: true });
  if (waiting.size) send();
}

function adoptAll(data) {
  for (const { answer } of waiting.values()) if (answer) known.set(answer.position, answer.letters);
  adopt(data);
}

// From here on the page's own buttons and links are answered here.
function take() {
  const answered = (id, act) =>
    part(id).addEventListener("click", (event) => {
      event.preventDefault();
      act();
    });
  answered("previous", () => go(here - 1));
  answered("next", onward);
  answered("show-sheet", sheet);
  answered("close-sheet", () => go(here));
  answered("large", enlarge);
  answered("star", mark);
  answered("only-wrong", () => cells([...known.keys()].filter((position) => !right(position)).sort((one, other) => one - other)));
  document.querySelector("[data-again]").addEventListener("submit", (event) => {
    if (!waiting.size) return;
    event.preventDefault();
    delete event.target.dataset.sent;
    tell("网络恢复、答案保存后,才能开始下一组练习。");
    send();
  });
  document.addEventListener("keydown", press);
  window.addEventListener("online", send);
  window.addEventListener("offline", () => {
    failing = true;
    status();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") send();
  });
}

begin();

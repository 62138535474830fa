// Answering: every tap is kept on this device first, then sent, and shown as saved when the server has said so. Time is the server's.
import { drop, keep, kept } from "./waiting.js";

const data = JSON.parse(document.getElementById("data").textContent);
const part = (id) => document.getElementById(id);
const answers = new Map(Object.entries(data.answers).map(([position, letters]) => [Number(position), letters]));
const waiting = new Map();
const marked = new Set();
const begun = performance.now();
let sequence = data.sequence;
let here = 0;
let sending = false;
let pause = 0;
let over = false;

const now = () => data.now + (performance.now() - begun);

function show() {
  const question = data.questions[here];
  part("kind").textContent = `${question.kind}型题 ${question.type} 第${here + 1}题/共${data.questions.length}题`;
  const grouped = question.size > 1;
  if (grouped) part("kind").textContent = `${question.kind === "B1" ? "B1" : "A3/A4"}型题[${question.place}/${question.size}] ${question.type}`;
  part("case").hidden = !question.case;
  part("case").textContent = question.case;
  part("place").hidden = !grouped || question.kind === "B1";
  part("place").textContent = `第${question.place}小题`;
  part("stem").textContent = `${here + 1}. ${question.stem}${question.kind === "X" ? "(多选)" : ""}`;
  part("options").replaceChildren(...question.options.map(([letter, words], index) => option(question, letter, words, "ABCDEFGHIJ"[index])));
  part("mark").textContent = marked.has(here) ? "★ 取消标注" : "☆ 标注本题";
  part("previous").disabled = here === 0;
  part("next").disabled = here === data.questions.length - 1;
}

function option(question, letter, words, label) {
  const button = document.createElement("button");
  const chosen = (answers.get(question.position) ?? "").includes(letter);
  button.type = "button";
  button.className = chosen ? "option chosen" : "option";
  button.setAttribute("aria-pressed", String(chosen));
  button.textContent = `${label}. ${words}`;
  button.addEventListener("click", () => tap(question, letter));
  return button;
}

async function tap(question, letter) {
  if (over) return;
  const before = answers.get(question.position) ?? "";
  let letters = letter;
  if (question.kind === "X") letters = before.includes(letter) ? before.replace(letter, "") : [...before, letter].sort().join("");
  sequence += 1;
  const answer = { sitting: data.id, position: question.position, letters, sequence, tapped: Math.round(now()) };
  answers.set(question.position, letters);
  waiting.set(question.position, answer);
  show();
  status();
  await keep(answer);
  send();
}

async function send() {
  if (sending || over) return;
  sending = true;
  try {
    while (waiting.size && !over) {
      const answer = [...waiting.values()].sort((one, other) => one.sequence - other.sequence)[0];
      const { position, letters, sequence: number, tapped } = answer;
      let reply;
      try {
        reply = await fetch(data.address, {
          method: "POST",
          credentials: "omit",
          headers: { "Content-Type": "application/json", "X-Sitting": data.token, Accept: "application/json" },
          body: JSON.stringify({ position, letters, sequence: number, tapped }),
          signal: AbortSignal.timeout?.(15000),
        });
      } catch {
        part("offline").hidden = false;
        return later();
      }
      part("offline").hidden = true;
      if (reply.ok) {
        pause = 0;
        if (waiting.get(position)?.sequence === number) waiting.delete(position);
        await drop(answer);
        status();
      } else {
        const said = await reply.json().catch(() => ({}));
        if (said.final) return stop(said.error);
        return later();
      }
    }
  } finally {
    sending = false;
  }
}

function later() {
  pause = Math.min(pause ? pause * 2 : 1000, 15000);
  window.setTimeout(send, pause);
  status();
}

function stop(sentence) {
  over = true;
  part("told").hidden = false;
  part("told").textContent = sentence;
  const again = document.createElement("a");
  again.href = window.location.href;
  again.textContent = " 刷新页面";
  part("told").append(again);
  status();
}

function status() {
  part("state").textContent = waiting.size ? `未保存 ${waiting.size} 题` : "已保存";
  part("state").classList.toggle("bad", waiting.size > 0);
}

function tick() {
  const left = Math.max(0, Math.ceil((data.closes - now()) / 1000));
  const two = (number) => String(number).padStart(2, "0");
  part("clock").textContent = `倒计时: ${two(Math.floor(left / 3600))}:${two(Math.floor(left / 60) % 60)}:${two(left % 60)}`;
  part("clock").classList.toggle("amber", left <= 600 && left > 180);
  part("clock").classList.toggle("red", left <= 180);
  if (left === 0) handIn();
  else window.setTimeout(tick, 500);
}

function unanswered() {
  return data.questions.filter((question) => !answers.get(question.position)).length;
}

function list() {
  part("count").textContent = `已答${data.questions.length - unanswered()}/${data.questions.length}题,★为标注的题`;
  part("sheet").replaceChildren(
    ...data.questions.map((question, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${index + 1}${marked.has(index) ? "★" : ""}`;
      button.classList.toggle("answered", Boolean(answers.get(question.position)));
      button.setAttribute("aria-label", `第${index + 1}题,${answers.get(question.position) ? "已答" : "未答"}${marked.has(index) ? ",已标注" : ""}`);
      button.addEventListener("click", () => go(index));
      return button;
    }),
  );
  only("list");
}

function only(id) {
  for (const one of ["question", "list", "confirm"]) part(one).hidden = one !== id;
  window.scrollTo(0, 0);
}

function go(index) {
  here = Math.max(0, Math.min(index, data.questions.length - 1));
  only("question");
  show();
}

function ask() {
  const left = unanswered();
  part("confirm-said").textContent = left ? `还有${left}题没有作答。交卷后不能再修改,确定交卷?` : "全部题目已作答。交卷后不能再修改,确定交卷?";
  only("confirm");
}

function outstanding() {
  part("outstanding").value = JSON.stringify([...waiting.values()].map(({ position, letters, sequence: number, tapped }) => ({ position, letters, sequence: number, tapped })));
}

function handIn() {
  over = true;
  outstanding();
  part("hand-in").submit();
}

part("previous").addEventListener("click", () => go(here - 1));
part("next").addEventListener("click", () => go(here + 1));
part("show-list").addEventListener("click", list);
part("close-list").addEventListener("click", () => go(here));
part("finish").addEventListener("click", ask);
part("go-on").addEventListener("click", () => go(here));
part("hand-in").addEventListener("submit", outstanding);
part("mark").addEventListener("click", () => {
  if (!marked.delete(here)) marked.add(here);
  show();
});
window.addEventListener("online", send);
window.addEventListener("offline", () => (part("offline").hidden = false));
document.addEventListener("visibilitychange", send);

for (const answer of await kept(data.id)) {
  sequence = Math.max(sequence, answer.sequence);
  answers.set(answer.position, answer.letters);
  waiting.set(answer.position, answer);
}
const first = data.questions.findIndex((question) => !answers.get(question.position));
go(first < 0 ? 0 : first);
status();
tick();
send();

// What the page says whichever of its parts is shown: how answers are kept, the time left, messages.
import { byId, data, letters, marked, state, waiting } from "./state.js";

const UNREACHABLE_MESSAGE = "暂时连接不上。请放心继续作答，答案存在这台手机上，恢复后自动发送。";
const UNREACHABLE_NOT_STORED_MESSAGE =
  "暂时连接不上。请继续作答，答案只保留在本页，恢复后自动发送；在此之前请不要刷新或关闭本页。";
export const MESSAGES = {
  confirm: "交卷后不能再修改，确定交卷？",
  signedOut: "登录已过期。答案仍会继续保存；交卷前请先",
  ...data.words,
};
const WARNINGS = [
  [180, "考试时间还剩3分钟"],
  [600, "考试时间还剩10分钟"],
];
const twoDigits = (number) => String(number).padStart(2, "0");
let lastWarning = Infinity;

// Only what changes with a tap: the buttons stay, and with them the focus.
export function updateOptions() {
  const chosen = letters(data.questions[state.currentIndex].position);
  for (const button of byId("options").children) {
    const mine = chosen.includes(button.dataset.letter);
    button.className = mine ? "answer-option is-selected" : "answer-option";
    button.setAttribute("aria-pressed", String(mine));
    button.disabled = state.isClosed;
  }
  byId("mark").textContent = marked.has(state.currentIndex) ? "★ 取消标注" : "☆ 标注本题";
  byId("mark").setAttribute("aria-pressed", String(marked.has(state.currentIndex)));
}

export function status() {
  const count = waiting.size;
  const stuck = state.failing || state.isClosed;
  const words = count ? (stuck ? `未保存 ${count} 题` : "保存中…") : "已保存";
  if (byId("state").textContent !== words) byId("state").textContent = words;
  byId("state").classList.toggle("is-error", count > 0 && stuck);
  byId("offline").hidden = !state.isUnreachable || state.isClosed;
  byId("offline").textContent = state.isStorageDurable ? UNREACHABLE_MESSAGE : UNREACHABLE_NOT_STORED_MESSAGE;
  byId("unkept").hidden = state.isStorageDurable || state.isClosed;
}

export function showMessage(sentence, link) {
  byId("told").hidden = !sentence;
  byId("told").textContent = sentence;
  if (link) {
    const again = document.createElement("a");
    [again.href, again.textContent] = link;
    byId("told").append(" ", again);
  }
  if (sentence) window.scrollTo(0, 0);
}

export function showOnly(id) {
  for (const one of ["question", "list", "confirm"]) byId(one).hidden = one !== id;
  window.scrollTo(0, 0);
}

export function showTimeLeft(left) {
  const [hours, minutes] = [Math.floor(left / 3600), Math.floor(left / 60) % 60];
  byId("clock").textContent = `倒计时: ${twoDigits(hours)}:${twoDigits(minutes)}:${twoDigits(left % 60)}`;
  byId("clock").classList.toggle("is-warning", left <= 600 && left > 180);
  byId("clock").classList.toggle("is-urgent", left <= 180);
  const [mark, words] = WARNINGS.find(([seconds]) => left <= seconds) ?? [Infinity, ""];
  if (mark < lastWarning && left > 0) byId("time-said").textContent = words;
  lastWarning = mark;
}

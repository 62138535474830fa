// What stands on the page: a question, or the answer sheet.
import { renderText } from "../question-text.js";
import { options } from "./answering.js";
import { makeElement, showMessage, star, verdict } from "./display.js";
import { byId, isCorrect, known, place, root, starred, state, unanswered } from "./state.js";

export function show() {
  const question = state.questions[state.currentPosition];
  byId("which").textContent = `练习 ${state.currentPosition + 1}/${state.questions.length}`;
  document.title = document.title.replace(/^练习 \d+\/\d+/, byId("which").textContent);
  byId("kind").textContent = question.heading;
  for (const name of ["case", "place"]) {
    byId(name).hidden = !question[name];
    renderText(byId(name), question[name]);
  }
  renderText(byId("stem"), question.stem, `${state.currentPosition + 1}. `, question.note);
  options();
  verdict();
  star();
  byId("previous").toggleAttribute("data-invisible", state.currentPosition === 0);
  byId("next").textContent = state.currentPosition < state.questions.length - 1 ? "下一题" : "查看答题卡";
}

export function toggleLargeText() {
  const large = root.classList.toggle("text-enlarged");
  byId("large").textContent = large ? "还原" : "放大";
  const secure = window.location.protocol === "https:" ? "; secure" : "";
  document.cookie = `${root.dataset.largeCookie}=${large ? 1 : 0}; path=/; max-age=31536000; samesite=lax${secure}`;
}

export function showQuestion(position) {
  state.currentPosition = Math.max(0, Math.min(position, state.questions.length - 1));
  if (!state.closed) showMessage("");
  byId("question").hidden = byId("foot").hidden = false;
  byId("sheet-part").hidden = true;
  show();
  window.history.replaceState(null, "", `${place}/${state.currentPosition + 1}`);
  window.scrollTo(0, 0);
  byId("stem").focus({ preventScroll: true });
}

export const goToNext = () =>
  state.currentPosition < state.questions.length - 1
    ? showQuestion(state.currentPosition + 1)
    : showAnswerSheet();

export function showAnswerSheet() {
  const done = [...known.keys()];
  const rightly = done.filter(isCorrect).length;
  const over = unanswered().length === 0;
  byId("count").textContent = `${done.length}/${state.questions.length}`;
  byId("summary-said").textContent = over
    ? `本次练习已完成：共${state.questions.length}题，答对${rightly}题，答错${done.length - rightly}题。`
    : `已答${done.length}题，答对${rightly}题，还有${unanswered().length}题没有做。`;
  byId("only-wrong").hidden = rightly === done.length;
  byId("again").hidden = !over;
  answerSheetCells(state.questions.map((_, position) => position));
  byId("question").hidden = byId("foot").hidden = true;
  byId("sheet-part").hidden = false;
  window.scrollTo(0, 0);
  byId("sheet-title").focus({ preventScroll: true });
}

export function answerSheetCells(positions) {
  const made = positions.map((position) => {
    const answered = known.has(position);
    const button = makeElement(
      "button",
      { type: "button", className: answered ? "is-answered" : "" },
      `${position + 1}`,
    );
    if (answered) button.append(makeElement("i", { textContent: isCorrect(position) ? "✓" : "✗" }));
    if (starred.has(position)) button.append("★");
    const said = answered ? (isCorrect(position) ? "答对" : "答错") : "未答";
    button.setAttribute(
      "aria-label",
      `第${position + 1}题，${said}${starred.has(position) ? "，已标注" : ""}`,
    );
    button.addEventListener("click", () => showQuestion(position));
    return button;
  });
  byId("sheet").replaceChildren(...made);
}

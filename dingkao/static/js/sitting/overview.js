// All questions at once: the sheet that tells which are answered, and the question before handing in.
import { MESSAGES, showOnly } from "./display.js";
import { jumpTo } from "./questions.js";
import { byId, data, letters, marked, size, unanswered } from "./state.js";

export function showAnswerSheet() {
  byId("count").textContent = `已答${size - unanswered().length}/${size}题，★为标注的题`;
  byId("sheet").replaceChildren(
    ...data.questions.map((question, index) => {
      const button = document.createElement("button");
      const done = Boolean(letters(question.position));
      button.type = "button";
      button.textContent = `${index + 1}${marked.has(index) ? "★" : ""}`;
      button.classList.toggle("is-answered", done);
      button.setAttribute(
        "aria-label",
        `第${index + 1}题，${done ? "已答" : "未答"}${marked.has(index) ? "，已标注" : ""}`,
      );
      button.addEventListener("click", () => jumpTo(index));
      return button;
    }),
  );
  showOnly("list");
  byId("list-title").focus({ preventScroll: true });
}

export function confirmHandIn() {
  const left = unanswered();
  const which = `${left
    .slice(0, 10)
    .map(([, index]) => index + 1)
    .join("、")}${left.length > 10 ? "等" : ""}`;
  const sentence = left.length ? `还有${left.length}题没有作答（第${which}题）。` : "全部题目已作答。";
  byId("confirm-said").textContent =
    `${sentence}${marked.size ? `有${marked.size}题标注了待检查。` : ""}${MESSAGES.confirm}`;
  showOnly("confirm");
  byId("confirm-title").focus({ preventScroll: true });
}

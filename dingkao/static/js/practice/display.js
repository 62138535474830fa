// What the page says of a question and of itself: verdict, star, whether answers are kept, messages.
import { renderText } from "../question-text.js";
import { byId, isCorrect, known, starred, state, waiting } from "./state.js";

export function makeElement(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// As the server's page has it: in words and by a mark, not by the colour alone.
export function optionVerdict(question, letter, words, given) {
  const inKey = question.answer.includes(letter);
  const mine = given.includes(letter);
  const text = makeElement("span", {});
  renderText(text, words);
  if (inKey || mine)
    text.append(
      makeElement("small", {
        textContent: inKey && mine ? "✓ 您的选择，正确" : inKey ? "✓ 正确答案" : "✗ 您的选择，错误",
      }),
    );
  const kind = inKey && mine ? " is-correct" : inKey ? " is-missed" : mine ? " is-incorrect" : "";
  return makeElement(
    "div",
    { className: `answer-option${kind}`, tabIndex: -1 },
    makeElement("b", { textContent: `${letter}.` }),
    text,
  );
}

export function verdict() {
  const question = state.questions[state.currentPosition];
  const given = known.has(state.currentPosition) && !question.withdrawn;
  const said = given
    ? [
        makeElement("strong", {
          textContent: isCorrect(state.currentPosition) ? "✓ 回答正确" : "✗ 回答错误",
        }),
        ` 正确答案: ${question.answer}`,
      ]
    : [];
  byId("verdict").replaceChildren(...said);
  byId("explanation").hidden = !given || !question.explanation;
  renderText(byId("explanation"), given ? question.explanation : "");
}

export function star() {
  byId("star").textContent = starred.has(state.currentPosition) ? "★ 已标注" : "☆ 标注";
}

export function status() {
  byId("state").textContent = waiting.size ? (state.failing ? "未保存，等待网络" : "保存中…") : "已保存";
  byId("state").classList.toggle("is-error", waiting.size > 0 && state.failing);
}

export function showMessage(sentence, link) {
  byId("told").hidden = !sentence;
  byId("told").textContent = sentence;
  if (link) byId("told").append(" ", makeElement("a", { href: link[0], textContent: link[1] }));
}

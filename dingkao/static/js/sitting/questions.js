// The questions, one at a time: the options, what is tapped of them, where one is and what one marked.
import { storeAnswer, storeNotes } from "../answer-store.js";
import { renderText } from "../question-text.js";
import { now } from "./clock.js";
import { showOnly, status, updateOptions } from "./display.js";
import { send } from "./server-exchange.js";
import {
  OPTION_LETTERS,
  byId,
  data,
  dismissed,
  knownAnswers,
  letters,
  marked,
  size,
  state,
  waiting,
} from "./state.js";

function show() {
  const question = data.questions[state.currentIndex];
  byId("kind").textContent = question.heading;
  byId("which").textContent = `${state.currentIndex + 1}/${size}`;
  byId("case").hidden = !question.case;
  renderText(byId("case"), question.case);
  byId("place").hidden = !question.place;
  byId("place").textContent = question.place;
  renderText(byId("stem"), question.stem, `${state.currentIndex + 1}. `, question.note);
  byId("options").replaceChildren(
    ...question.options.map(([letter, words], index) =>
      option(question, letter, words, OPTION_LETTERS[index]),
    ),
  );
  const last = state.currentIndex === size - 1;
  byId("previous").disabled = state.currentIndex === 0;
  byId("next").disabled = last;
  // What comes next is the blue one: another question, or after the last to hand in.
  for (const [id, primary] of [
    ["next", !last],
    ["finish", last],
  ]) {
    byId(id).classList.toggle("button--primary", primary);
    byId(id).classList.toggle("button--default", !primary);
  }
  updateOptions();
}

function option(question, letter, words, label) {
  const button = document.createElement("button");
  const head = document.createElement("b");
  const body = document.createElement("span");
  button.type = "button";
  button.dataset.letter = letter;
  head.textContent = `${label}.`;
  renderText(body, words);
  button.append(head, body);
  button.addEventListener("click", () => selectOption(question, letter));
  return button;
}

function selectOption(question, letter) {
  if (state.isClosed || now() > data.closes) return;
  const before = letters(question.position);
  let chosen = letter;
  if (question.several)
    chosen = before.includes(letter) ? before.replace(letter, "") : [...before, letter].sort().join("");
  // By the server's time, in hundredths of a second: of two pages or devices the later tap is the newer one.
  state.sequence = Math.max(state.sequence + 1, Math.floor((now() - data.opened) / 10));
  const answer = {
    sitting: data.id,
    position: question.position,
    letters: chosen,
    sequence: state.sequence,
    tapped: Math.round(now()),
  };
  knownAnswers.set(question.position, answer);
  waiting.set(question.position, answer);
  updateOptions();
  status();
  storeAnswer(answer).then(reportSaved);
  send();
}

// Whether what waits can be kept on this device, as the last try has shown.
function reportSaved(outlives) {
  if (state.isStorageDurable === outlives) return;
  state.isStorageDurable = outlives;
  status();
}

export function showQuestion(index) {
  state.currentIndex = Math.max(0, Math.min(index, size - 1));
  showOnly("question");
  show();
  saveNotes();
}

// By whichever way one comes to a question, it is read out: where the button pressed stays, the focus
// stays on it.
export function moveBy(index) {
  showQuestion(index);
  byId("said").textContent = `第${state.currentIndex + 1}题，共${size}题。${byId("stem").textContent}`;
}

export function jumpTo(index) {
  showQuestion(index);
  byId("stem").focus({ preventScroll: true });
}

export function saveNotes() {
  storeNotes(data.id, { here: state.currentIndex, marked: [...marked], dismissed: [...dismissed] });
}

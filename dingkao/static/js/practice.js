// Practice: the run is fetched once; from then on every tap is judged here, kept on this device and sent in
// the background, so that the fifty go on without network. Until it has come, and where it doesn't, the
// page works as the server made it, a page a question.
import { isDurable, storedAnswers } from "./answer-store.js";
import { removeRows } from "./practice-queue.js";
import { preloadPictures } from "./question-text.js";
import { applyServerState, loadRun, send, toggleStar } from "./practice/answering.js";
import { showMessage, status } from "./practice/display.js";
import {
  answerSheetCells,
  goToNext,
  show,
  showAnswerSheet,
  showQuestion,
  toggleLargeText,
} from "./practice/pages.js";
import { byId, isCorrect, known, run, state, waiting } from "./practice/state.js";

// --- keys: only while the focus is in the question, so that they are in nobody's way

function onClick(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && byId("question").hidden) showQuestion(state.currentPosition);
  if (
    byId("question").hidden ||
    !(byId("question").contains(document.activeElement) || document.activeElement?.closest("#foot"))
  )
    return;
  if (event.key === "ArrowLeft" && state.currentPosition > 0) showQuestion(state.currentPosition - 1);
  if (event.key === "ArrowRight") goToNext();
  const letter = /^[1-9]$/.test(event.key)
    ? state.questions[state.currentPosition].options[Number(event.key) - 1]?.[0]
    : event.key.toUpperCase();
  const control = [...byId("options").querySelectorAll("button[value], input")].find(
    (one) => one.value === letter,
  );
  control?.click();
}

async function initialise() {
  isDurable().then((outlives) => (state.isStorageDurable = outlives));
  const rows = (await storedAnswers(run)).filter((row) => row.practice);
  let data;
  try {
    data = await loadRun();
  } catch {
    // the page goes on as the server made it; what waits on this device is sent all the same
    for (const row of rows) waiting.set(row.position, row);
    if (rows.length) send();
    return;
  }
  [state.questions, state.token] = [data.questions, data.token];
  preloadPictures(state.questions);
  for (const row of rows) {
    if (row.answer && row.position in data.answers) removeRows([row]);
    else waiting.set(row.position, row);
  }
  applyRunData(data);
  enhancePage();
  show();
  status();
  byId("keys").hidden = !window.matchMedia?.("(hover: hover) and (pointer: fine)").matches;
  if (document.activeElement === document.body) byId("stem").focus({ preventScroll: true });
  if (waiting.size) send();
}

function applyRunData(data) {
  for (const { answer } of waiting.values()) if (answer) known.set(answer.position, answer.letters);
  applyServerState(data);
}

// From here on the page's own buttons and links are answered here.
function enhancePage() {
  const answered = (id, act) =>
    byId(id).addEventListener("click", (event) => {
      event.preventDefault();
      act();
    });
  answered("previous", () => showQuestion(state.currentPosition - 1));
  answered("next", goToNext);
  answered("show-sheet", showAnswerSheet);
  answered("close-sheet", () => showQuestion(state.currentPosition));
  answered("large", toggleLargeText);
  answered("star", toggleStar);
  answered("only-wrong", () =>
    answerSheetCells(
      [...known.keys()].filter((position) => !isCorrect(position)).sort((one, other) => one - other),
    ),
  );
  document.querySelector("[data-retry]").addEventListener("submit", (event) => {
    if (!waiting.size) return;
    event.preventDefault();
    delete event.target.dataset.sent;
    showMessage("网络恢复、答案保存后，才能开始下一组练习。");
    send();
  });
  document.addEventListener("keydown", onClick);
  window.addEventListener("online", send);
  window.addEventListener("offline", () => {
    state.failing = true;
    status();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") send();
  });
}

initialise();

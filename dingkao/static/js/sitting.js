// Answering: every tap is kept on this device and sent at once, and shown as saved when the server has
// said so. Time is the server's.
import { isDurable, removeAnswer, storedAnswers } from "./answer-store.js";
import { preloadPictures } from "./question-text.js";
import { dismissAnnouncements, receiveAnnouncements } from "./sitting/announcements.js";
import { status, showMessage, updateOptions } from "./sitting/display.js";
import { confirmHandIn, showAnswerSheet } from "./sitting/overview.js";
import { jumpTo, moveBy, saveNotes, showQuestion } from "./sitting/questions.js";
import { applyServerAnswers, handIn, loadStatus, send, tick } from "./sitting/server-exchange.js";
import {
  OPTION_LETTERS,
  byId,
  data,
  knownAnswers,
  marked,
  pageNotes,
  size,
  state,
  unanswered,
  waiting,
} from "./sitting/state.js";

const STATUS_INTERVAL_MS = 240000;
const OPTION_KEY = new RegExp(`^[${OPTION_LETTERS}]$`, "i");

async function initialise() {
  applyServerAnswers(data.answers, data.sequences);
  const [outlives, rows] = await Promise.all([isDurable(), storedAnswers(data.id)]);
  state.isStorageDurable = outlives;
  for (const answer of rows) {
    if (answer.sequence <= (knownAnswers.get(answer.position)?.sequence ?? 0))
      removeAnswer(data.id, answer.position, answer.sequence);
    else {
      state.sequence = Math.max(state.sequence, answer.sequence);
      knownAnswers.set(answer.position, answer);
      waiting.set(answer.position, answer);
    }
  }
  showQuestion(pageNotes.here ?? Math.max(0, unanswered()[0]?.[1] ?? 0));
  byId("show-list").disabled = false; // a press before this was good for nothing
  for (const id of ["finish", "mark"]) byId(id).disabled = state.isClosed;
  if (document.activeElement === document.body) byId("stem").focus({ preventScroll: true });
  status();
  tick();
  send();
  loadStatus();
  preloadPictures(data.questions);
}

// --- keys: only while the focus is in the question or on the buttons below it, so that they are in
// nobody's way

function onClick(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape" && byId("question").hidden && !state.isHandingIn) jumpTo(state.currentIndex);
  if (byId("question").hidden || !document.activeElement?.closest("#question, .page-actions")) return;
  if (event.key === "ArrowLeft" && state.currentIndex > 0) jumpTo(state.currentIndex - 1);
  if (event.key === "ArrowRight" && state.currentIndex < size - 1) jumpTo(state.currentIndex + 1);
  const which = /^[1-9]$/.test(event.key)
    ? Number(event.key) - 1
    : OPTION_KEY.test(event.key)
      ? OPTION_LETTERS.indexOf(event.key.toUpperCase())
      : -1;
  byId("options").querySelectorAll("button")[which]?.click();
}

document.addEventListener("keydown", onClick);
byId("keys").hidden = !window.matchMedia?.("(hover: hover) and (pointer: fine)").matches;
byId("previous").addEventListener("click", () => moveBy(state.currentIndex - 1));
byId("next").addEventListener("click", () => moveBy(state.currentIndex + 1));
byId("show-list").addEventListener("click", showAnswerSheet);
byId("close-list").addEventListener("click", () => jumpTo(state.currentIndex));
byId("finish").addEventListener("click", confirmHandIn);
byId("go-on").addEventListener("click", () => {
  showMessage("");
  jumpTo(state.currentIndex);
});
byId("hand-in").addEventListener("submit", (event) => {
  event.preventDefault();
  delete byId("hand-in").dataset.sent;
  handIn(false);
});
byId("mark").addEventListener("click", () => {
  if (!marked.delete(state.currentIndex)) marked.add(state.currentIndex);
  updateOptions();
  saveNotes();
});
window.addEventListener("online", loadStatus);
byId("announcement-close").addEventListener("click", () => {
  dismissAnnouncements();
  saveNotes();
});
window.addEventListener("announced", ({ detail }) => receiveAnnouncements(detail)); // by integrity-events.js
window.addEventListener("look", loadStatus); // integrity-events.js has been told that something has changed
window.addEventListener("offline", () => {
  [state.failing, state.isUnreachable] = [true, true];
  status();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") loadStatus();
});
window.setInterval(loadStatus, STATUS_INTERVAL_MS);
initialise();

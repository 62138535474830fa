// What the page was given, and what it knows of the sitting, of the answers, and of itself.
import { loadNotes } from "../answer-store.js";

export const data = JSON.parse(document.getElementById("data").textContent);
export const byId = (id) => document.getElementById(id);
export const size = data.questions.length;
// position → { letters, sequence }: the newest that this page knows of, saved or not
export const knownAnswers = new Map();
export const waiting = new Map(); // position → answer not yet acknowledged
export const pageNotes = loadNotes(data.id);
export const marked = new Set(pageNotes.marked ?? []);
export const dismissed = new Set(pageNotes.dismissed ?? []); // announcements that were put away
export const state = {
  sequence: data.sequence,
  currentIndex: 0,
  failing: false, // what waits could not be delivered the last time
  isUnreachable: false, // because the server could not be reached
  isStorageDurable: true, // what waits outlives this page
  isHandingIn: false,
  isClosed: false,
  isTimeUp: false, // over because the time is
  hasLateAnswers: false, // handed in, and what came too late waits in this page alone
};
// as in question_banks/question_types.py, which a test compares
export const OPTION_LETTERS = "ABCDEFGHIJ";

export const letters = (position) => knownAnswers.get(position)?.letters ?? "";

export const unanswered = () =>
  data.questions
    .map((question, index) => [question, index])
    .filter(([question]) => !letters(question.position));

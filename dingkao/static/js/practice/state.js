// The run of practice, and what this page knows of it.
export const byId = (id) => document.getElementById(id);
export const root = byId("practice");
export const { run, source, answers: address, sheetUrl: place } = root.dataset;
export const known = new Map(); // position → letters: the answer that stands, as far as this page knows
export const starred = new Set();
export const waiting = new Map(); // the queue's position → row not yet acknowledged
export const state = {
  questions: [],
  token: root.dataset.token,
  clockOffset: 0, // of this device's clock, to the server's
  currentPosition: Number(root.dataset.number) - 1,
  failing: false,
  closed: false,
  isStorageDurable: true, // what waits outlives this page
};

export const isCorrect = (position) =>
  [...known.get(position)].sort().join("") === [...state.questions[position].answer].sort().join("");

export const unanswered = () =>
  state.questions.flatMap((question, position) =>
    known.has(position) || question.withdrawn ? [] : [position],
  );

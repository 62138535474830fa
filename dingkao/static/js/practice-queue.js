// What was tapped in practice waits on this device like the answers of a sitting (answer-store.js), by
// run and position, and goes to the server
// by the batch. A first answer stands, so an answer is never overwritten; of the marks of one question
// the latest is sent.
import { removeAnswer, storeAnswer } from "./answer-store.js";

const STAR_OFFSET = 1000; // a mark waits at its question's position and this

export function queueAnswer(run, address, position, letters, tapped) {
  const row = {
    sitting: run,
    position,
    sequence: 1,
    practice: address,
    answer: { position, letters, tapped },
  };
  storeAnswer(row);
  return row;
}

export function queueStar(run, address, position, starred) {
  const row = {
    sitting: run,
    position: STAR_OFFSET + position,
    sequence: Date.now(),
    practice: address,
    mark: { position, starred },
  };
  storeAnswer(row);
  return row;
}

export function removeRows(rows) {
  return Promise.all(rows.map((row) => removeAnswer(row.sitting, row.position, row.sequence)));
}

// Gives the server's reply; raises where there is none. What the browser goes on with after the page is
// gone is small enough for keepalive.
export async function sendRows(address, token, rows) {
  const stop = new AbortController();
  const late = window.setTimeout(() => stop.abort(), 15000);
  const body = JSON.stringify({
    answers: rows.flatMap((row) => row.answer ?? []),
    stars: rows.flatMap((row) => row.mark ?? []),
  });
  const headers = {
    "Content-Type": "application/json",
    Accept: "application/json",
    "X-CSRFToken": token,
    "X-Requested-With": "fetch",
  };
  try {
    return await fetch(address, { method: "POST", keepalive: true, headers, body, signal: stop.signal });
  } finally {
    window.clearTimeout(late);
  }
}

// Where one chooses what to practise: what still waits on this device from runs whose pages are gone is
// sent now. Another doctor's, on a
// shared phone, stays for its owner.
import { removeRows, sendRows } from "./practice-queue.js";
import { allStoredAnswers } from "./answer-store.js";

const statusText = document.getElementById("practice-rest");

async function sendPending() {
  const runs = new Map();
  const before = await allStoredAnswers();
  for (const row of before) {
    if (row.practice?.startsWith(`${statusText.dataset.root}/`))
      runs.set(row.practice, [...(runs.get(row.practice) ?? []), row]);
  }
  for (const [address, rows] of runs) {
    const reply = await sendRows(address, statusText.dataset.token, rows);
    if (reply.redirected) return;
    if (reply.ok) await removeRows(rows);
  }
  if ((await allStoredAnswers()).length < before.length) window.location.reload();
}

sendPending().catch(() =>
  window.addEventListener("online", () => sendPending().catch(() => {}), { once: true }),
);

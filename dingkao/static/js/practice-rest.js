// Where one chooses what to practise: what still waits on this device from runs whose pages are gone is sent now. Another doctor's, on a
// shared phone, stays for its owner.
import { forgetRows, post } from "./practice-queue.js";
import { everything } from "./waiting.js";

const told = document.getElementById("practice-rest");

async function rest() {
  const runs = new Map();
  const before = await everything();
  for (const row of before) {
    if (row.practice?.startsWith(`${told.dataset.root}/`)) runs.set(row.practice, [...(runs.get(row.practice) ?? []), row]);
  }
  for (const [address, rows] of runs) {
    const reply = await post(address, told.dataset.token, rows);
    if (reply.redirected) return;
    if (reply.ok) await forgetRows(rows);
  }
  if ((await everything()).length < before.length) window.location.reload();
}

rest().catch(() => window.addEventListener("online", () => rest().catch(() => {}), { once: true }));

// Answers that wait on this device until the server has said it keeps them. In IndexedDB, by sitting and position; where a browser
// has none, in memory, and the page says so by showing 未保存.
const NAME = "dingkao-sittings";
let opened;

function database() {
  opened ??= new Promise((resolve) => {
    try {
      const asked = indexedDB.open(NAME, 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("waiting", { keyPath: ["sitting", "position"] });
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
  return opened;
}

function done(request, otherwise) {
  return new Promise((resolve) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(otherwise);
  });
}

async function store(mode) {
  const base = await database();
  return base ? base.transaction("waiting", mode).objectStore("waiting") : null;
}

export async function keep(answer) {
  const waiting = await store("readwrite");
  if (waiting) await done(waiting.put(answer));
}

export async function kept(sitting) {
  const waiting = await store("readonly");
  const rows = waiting ? await done(waiting.getAll(), []) : [];
  return rows.filter((row) => row.sitting === sitting);
}

// Only the answer that was sent: one tapped meanwhile stays.
export async function drop(answer) {
  const waiting = await store("readwrite");
  if (!waiting) return;
  const found = await done(waiting.get([answer.sitting, answer.position]));
  if (found && found.sequence === answer.sequence) await done(waiting.delete([answer.sitting, answer.position]));
}

export async function forget(sitting) {
  for (const answer of await kept(sitting)) await drop(answer);
}

// Answers that wait on this device until the server has said it keeps them: in IndexedDB, by sitting and position. A browser may have
// none, hang while opening it, or close it behind our back; then they wait in memory alone, and nothing here waits for it or raises.
const NAME = "dingkao-sittings";
const PATIENCE = 1500;
let base = null;
let opening = null;

function open() {
  opening ??= new Promise((resolve) => {
    const give = (found) => {
      opening = null;
      resolve(found);
    };
    try {
      const asked = indexedDB.open(NAME, 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("waiting", { keyPath: ["sitting", "position"] });
      asked.onsuccess = () => {
        base = asked.result;
        base.onclose = base.onversionchange = () => (base = null);
        give(base);
      };
      asked.onerror = () => give(null);
    } catch {
      give(null);
    }
  });
  return Promise.race([opening, new Promise((resolve) => window.setTimeout(resolve, PATIENCE, null))]);
}

// One transaction: what `act` asks of the store, when it has been written; undefined where there is no store.
async function within(mode, act) {
  for (let tries = 0; tries < 2; tries += 1) {
    const found = base ?? (await open());
    if (!found) return undefined;
    try {
      return await new Promise((resolve, reject) => {
        const transaction = found.transaction("waiting", mode);
        let result;
        transaction.oncomplete = () => resolve(result);
        transaction.onerror = transaction.onabort = () => reject(transaction.error);
        act(transaction.objectStore("waiting"), (value) => (result = value));
      });
    } catch {
      base = null;
    }
  }
  return undefined;
}

// Of two pages of one browser the newer answer waits.
export function keep(answer) {
  return within("readwrite", (store) => {
    const asked = store.get([answer.sitting, answer.position]);
    asked.onsuccess = () => {
      if (!asked.result || asked.result.sequence < answer.sequence) store.put(answer);
    };
  });
}

export async function kept(sitting) {
  return (await everything()).filter((row) => row.sitting === sitting);
}

// All that waits on this device, of sittings and of practice.
export async function everything() {
  const rows = await within("readonly", (store, give) => {
    const asked = store.getAll();
    asked.onsuccess = () => give(asked.result);
  });
  return rows ?? [];
}

// What the server keeps, or something newer, waits no more; an answer tapped meanwhile stays.
export function drop(sitting, position, sequence) {
  return within("readwrite", (store) => {
    const asked = store.get([sitting, position]);
    asked.onsuccess = () => {
      if (asked.result && asked.result.sequence <= sequence) store.delete([sitting, position]);
    };
  });
}

export async function forget(sitting) {
  try {
    window.localStorage.removeItem(`dingkao-notes-${sitting}`);
  } catch {
    // a browser that lets nothing be stored has nothing to forget
  }
  for (const answer of await kept(sitting)) await drop(sitting, answer.position, answer.sequence);
}

// Where one was and what one marked: for oneself alone, so it stays on this device.
export function note(sitting, notes) {
  try {
    window.localStorage.setItem(`dingkao-notes-${sitting}`, JSON.stringify(notes));
  } catch {
    // the marks are lost with the page then
  }
}

export function noted(sitting) {
  try {
    return JSON.parse(window.localStorage.getItem(`dingkao-notes-${sitting}`)) ?? {};
  } catch {
    return {};
  }
}

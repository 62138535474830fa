// Answers that wait on this device until the server has said it keeps them, by sitting and position: in
// IndexedDB, and where a browser has none,
// hangs while opening it, or closes it behind our back, in localStorage. Where neither can be used they
// wait in the page's memory alone, which
// `storeAnswer` says; nothing here raises.
const DATABASE_NAME = "dingkao-sittings";
const OPEN_TIMEOUT_MS = 1500;
let database = null;
let opening = null;
let waited = false; // once for all that it takes longer than that: what comes later is still used

function open() {
  if (opening && waited) return null;
  opening ??= new Promise((resolve) => {
    const give = (found) => {
      opening = null;
      resolve(found);
    };
    try {
      const asked = indexedDB.open(DATABASE_NAME, 1);
      asked.onupgradeneeded = () =>
        asked.result.createObjectStore("waiting", { keyPath: ["sitting", "position"] });
      asked.onsuccess = () => {
        database = asked.result;
        database.onclose = database.onversionchange = () => (database = null);
        give(database);
      };
      asked.onerror = () => give(null);
    } catch {
      give(null);
    }
  });
  const patience = new Promise((resolve) => {
    window.setTimeout(() => {
      waited = opening !== null;
      resolve(null);
    }, OPEN_TIMEOUT_MS);
  });
  return Promise.race([opening, patience]);
}

// One transaction: what `act` asks of the store, when it has been written; undefined where there is no store.
async function withObjectStore(mode, act) {
  for (let tries = 0; tries < 2; tries += 1) {
    const found = database ?? (await open());
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
      database = null;
    }
  }
  return undefined;
}

// --- the second place

const PREFIX = "dingkao-waiting:";
const localStorageKey = (sitting, position) => `${PREFIX}${sitting}:${position}`;

function withLocalStorage(act, otherwise) {
  try {
    return act(window.localStorage);
  } catch {
    return otherwise;
  }
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const readFromLocalStorage = (sitting, position) =>
  withLocalStorage((storage) => parseJson(storage.getItem(localStorageKey(sitting, position))), null);

function writeToLocalStorage(answer) {
  return withLocalStorage((storage) => {
    const before = readFromLocalStorage(answer.sitting, answer.position);
    if (!before || before.sequence < answer.sequence)
      storage.setItem(localStorageKey(answer.sitting, answer.position), JSON.stringify(answer));
    return true;
  }, false);
}

function removeFromLocalStorage(sitting, position, sequence) {
  const there = readFromLocalStorage(sitting, position);
  if (there && there.sequence <= sequence)
    withLocalStorage((storage) => storage.removeItem(localStorageKey(sitting, position)));
}

function allInLocalStorage() {
  return withLocalStorage(
    (storage) =>
      Object.keys(storage)
        .filter((key) => key.startsWith(PREFIX))
        .flatMap((key) => parseJson(storage.getItem(key)) ?? []),
    [],
  );
}

// --- both

// Of two pages of one browser the newer answer waits. Gives whether it will outlive the page. Until
// IndexedDB is known to work it stands in the
// second place at once, for opening the first may take longer than the page lives.
export async function storeAnswer(answer) {
  const spare = !database && writeToLocalStorage(answer);
  const written = await withObjectStore("readwrite", (store, give) => {
    const asked = store.get([answer.sitting, answer.position]);
    asked.onsuccess = () => {
      if (!asked.result || asked.result.sequence < answer.sequence) store.put(answer);
    };
    give(true);
  });
  if (!written) return spare || writeToLocalStorage(answer);
  if (spare) removeFromLocalStorage(answer.sitting, answer.position, answer.sequence);
  return true;
}

// Whether anything can be kept on this device.
export async function isDurable() {
  const probe = { sitting: "probe", position: 0, sequence: Date.now() };
  const kept = await storeAnswer(probe);
  await removeAnswer(probe.sitting, probe.position, probe.sequence);
  return kept;
}

export async function storedAnswers(sitting) {
  return (await allStoredAnswers()).filter((row) => row.sitting === sitting);
}

// All that waits on this device, of sittings and of practice; of an answer that stands in both places the
// newer.
export async function allStoredAnswers() {
  const rows = await withObjectStore("readonly", (store, give) => {
    const asked = store.getAll();
    asked.onsuccess = () => give(asked.result);
  });
  const newest = new Map();
  for (const row of [...(rows ?? []), ...allInLocalStorage()]) {
    const name = localStorageKey(row.sitting, row.position);
    if (!newest.has(name) || newest.get(name).sequence < row.sequence) newest.set(name, row);
  }
  return [...newest.values()];
}

// What the server keeps, or something newer, waits no more; an answer tapped meanwhile stays.
export function removeAnswer(sitting, position, sequence) {
  removeFromLocalStorage(sitting, position, sequence);
  return withObjectStore("readwrite", (store) => {
    const asked = store.get([sitting, position]);
    asked.onsuccess = () => {
      if (asked.result && asked.result.sequence <= sequence) store.delete([sitting, position]);
    };
  });
}

export async function removeSitting(sitting) {
  try {
    window.localStorage.removeItem(`dingkao-notes-${sitting}`);
  } catch {
    // a browser that lets nothing be stored has nothing to forget
  }
  for (const answer of await storedAnswers(sitting))
    await removeAnswer(sitting, answer.position, answer.sequence);
}

// Where one was and what one marked: for oneself alone, so it stays on this device.
export function storeNotes(sitting, notes) {
  try {
    window.localStorage.setItem(`dingkao-notes-${sitting}`, JSON.stringify(notes));
  } catch {
    // the marks are lost with the page then
  }
}

export function loadNotes(sitting) {
  try {
    return JSON.parse(window.localStorage.getItem(`dingkao-notes-${sitting}`)) ?? {};
  } catch {
    return {};
  }
}

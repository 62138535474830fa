// What was typed and the server has not acknowledged stays on this phone.
import { etags, form, values } from "./fields.js";

const STORAGE_KEY = `dk-keep:${form.dataset.store}`;
const MAX_AGE_MS = 14 * 24 * 3600 * 1000;
export const clientId = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
  (byte % 36).toString(36),
).join("");
export const localCopy = readLocalCopy();

function readLocalCopy() {
  try {
    const now = Date.now();
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith("dk-keep:") && now - (JSON.parse(localStorage.getItem(key)).at || 0) > MAX_AGE_MS)
        localStorage.removeItem(key);
    }
    return JSON.parse(localStorage.getItem(STORAGE_KEY)) || { fields: {} };
  } catch (_) {
    return { fields: {} };
  }
}

export function writeLocalCopy() {
  try {
    if (Object.keys(localCopy.fields).length)
      localStorage.setItem(STORAGE_KEY, JSON.stringify({ at: Date.now(), fields: localCopy.fields }));
    else localStorage.removeItem(STORAGE_KEY);
  } catch (_) {
    // No storage, or none left: the page itself still holds what was typed.
  }
}

export function remember(name) {
  const before = localCopy.fields[name];
  localCopy.fields[name] = { values: values(name), known: etags[name], pen: before ? before.pen : clientId };
  writeLocalCopy();
}

export function forget(name) {
  delete localCopy.fields[name];
  writeLocalCopy();
}

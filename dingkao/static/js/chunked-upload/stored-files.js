// What stays on this device until the server has it.
import { toArrayBuffer } from "./pictures.js";

const DATABASE_NAME = "dingkao-uploads";
const ONE_DAY_MS = 24 * 3600 * 1000;

function withObjectStore(mode, act) {
  return new Promise((resolve) => {
    window.setTimeout(resolve, 3000, undefined);
    try {
      const asked = indexedDB.open(DATABASE_NAME, 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("files", { keyPath: "key" });
      asked.onerror = () => resolve(undefined);
      asked.onsuccess = () => {
        const transaction = asked.result.transaction("files", mode);
        let result;
        transaction.oncomplete = () => {
          asked.result.close();
          resolve(result);
        };
        transaction.onerror = transaction.onabort = () => resolve(undefined);
        act(transaction.objectStore("files"), (value) => (result = value));
      };
    } catch {
      resolve(undefined); // a browser that lets nothing be stored goes on without
    }
  });
}

const storageScope = (where) => [where.address, where.who, where.purpose, where.subject].join(" ");

export async function storeFile(item, where) {
  const row = {
    key: item.key,
    scope: storageScope(where),
    name: item.name,
    type: item.blob.type,
    content: await toArrayBuffer(item.blob),
    fields: item.fields,
    at: Date.now(),
  };
  await withObjectStore("readwrite", (files) => files.put(row));
}

export function removeFile(key) {
  return withObjectStore("readwrite", (files) => files.delete(key));
}

// What this person began here for this and did not finish; what is older than a day goes, for the server
// has forgotten it too.
export async function storedFiles(where) {
  const rows = await withObjectStore("readwrite", (files, give) => {
    const asked = files.getAll();
    asked.onsuccess = () => {
      for (const row of asked.result) if (Date.now() - row.at > ONE_DAY_MS) files.delete(row.key);
      give(asked.result);
    };
  });
  const mine = (rows ?? []).filter(
    (row) => row.scope === storageScope(where) && Date.now() - row.at <= ONE_DAY_MS,
  );
  return mine.map((row) => ({
    key: row.key,
    name: row.name,
    blob: new Blob([row.content], { type: row.type }),
    fields: row.fields,
  }));
}

export function newKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  const digits = [...random].map((one) => one.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

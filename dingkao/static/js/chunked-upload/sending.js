// The way of a file to the server: sent piece by piece, held while the connection is cut, given up.
import { newKey, removeFile, storeFile } from "./stored-files.js";

const TIMEOUT_MS = 60000;
const RETRY_DELAYS_MS = [2000, 4000, 8000, 15000];
export const CONNECTION_LOST_MESSAGE = "网络已断开，已上传的部分没有丢失。网络恢复后会自动继续，请保留本页。";

async function request(address, token, body) {
  const stop = new AbortController();
  const late = window.setTimeout(() => stop.abort(), TIMEOUT_MS);
  try {
    const answer = await fetch(address, {
      method: "POST",
      body,
      redirect: "manual",
      signal: stop.signal,
      credentials: "same-origin",
      headers: {
        Accept: "application/json",
        "X-CSRFToken": token,
        ...(body instanceof Blob ? { "Content-Type": "application/octet-stream" } : {}),
      },
    });
    return {
      status: answer.status,
      told: answer.type === "opaqueredirect" ? {} : await answer.json().catch(() => ({})),
    };
  } finally {
    window.clearTimeout(late);
  }
}

function toFormData(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields ?? {})) form.append(name, value);
  return form;
}

function delay(time, signal) {
  return new Promise((resolve) => {
    const go = () => {
      window.clearTimeout(timer);
      window.removeEventListener("online", go);
      signal.removeEventListener("abort", go);
      resolve();
    };
    const timer = window.setTimeout(go, time);
    window.addEventListener("online", go);
    signal.addEventListener("abort", go);
  });
}

// Send `item` {key, name, blob, fields} whole; the fields are those of its form beside the file. `watch`
// is told {share, held, sentence}. Gives {state, sentence, document}: «done», «refused» (the
// file is not taken), «ended» (signed out, or the page too old), «failed» (may be tried again), «stopped».
export async function uploadFile(item, where, watch, signal) {
  const size = item.blob.size;
  let upload = "";
  let chunk = 0;
  let received = 0;
  let tries = 0;
  let renewed = false;
  for (;;) {
    if (signal.aborted) return { state: "stopped", upload };
    let answer;
    try {
      if (!upload) {
        const form = new FormData();
        for (const [name, value] of [
          ["purpose", where.purpose],
          ["subject", where.subject],
          ["key", item.key],
          ["name", item.name],
          ["size", size],
        ]) {
          form.append(name, value);
        }
        answer = await request(where.address, where.token, form);
      } else if (received < size) {
        const piece = item.blob.slice(received, received + chunk);
        answer = await request(`${where.address}/${upload}/chunk?offset=${received}`, where.token, piece);
      } else {
        answer = await request(`${where.address}/${upload}/finish`, where.token, toFormData(item.fields));
      }
    } catch {
      if (signal.aborted) return { state: "stopped", upload };
      watch({ share: received / size, held: true, sentence: CONNECTION_LOST_MESSAGE });
      await delay(RETRY_DELAYS_MS[Math.min(tries, RETRY_DELAYS_MS.length - 1)], signal);
      tries += 1;
      continue;
    }
    const { status, told } = answer;
    if (status === 200 || status === 201) {
      upload = told.id;
      chunk = told.chunk;
      received = told.received;
      tries = 0;
      if (told.state === "done") return { state: "done", document: told.document };
      watch({ share: received / size, held: false, finishing: received === size });
    } else if (status === 409 && Number.isInteger(told.received)) {
      received = told.received;
    } else if (status === 404 && !renewed && (upload || told.error)) {
      // given up or swept meanwhile: from the beginning, once
      await removeFile(item.key);
      item.key = newKey();
      await storeFile(item, where);
      upload = "";
      renewed = true;
    } else if (status === 429 || status >= 500) {
      if (tries >= 5 && status !== 503)
        return { state: "failed", upload, sentence: told.error ?? "暂时无法上传，请稍后重试。" };
      watch({
        share: received / size,
        held: true,
        sentence: told.error ?? "服务暂时没有应答，稍后会自动继续。",
      });
      await delay(
        status === 429 ? 30000 : RETRY_DELAYS_MS[Math.min(tries, RETRY_DELAYS_MS.length - 1)],
        signal,
      );
      tries += 1;
    } else if (status === 0 || (status >= 300 && status < 400)) {
      return {
        state: "ended",
        upload,
        sentence: "登录已失效。请重新登录后回到本页，点“继续上传”，已上传的部分没有丢失。",
      };
    } else if (status === 400) {
      return {
        state: "ended",
        upload,
        sentence: "页面打开时间过长。请刷新本页后点“继续上传”，已上传的部分没有丢失。",
      };
    } else {
      return { state: "refused", upload, sentence: told.error ?? "文件没有被接受，请重新选择。" };
    }
  }
}

export async function cancelUpload(item, upload, where) {
  await removeFile(item.key);
  if (upload)
    await request(`${where.address}/${upload}/cancel`, where.token, new FormData()).catch(() => null);
}

export function uploadTarget(element) {
  return {
    address: element.dataset.uploads,
    purpose: element.dataset.purpose,
    subject: element.dataset.subject ?? "",
    who: element.dataset.user,
    token: element.querySelector("[name=csrf_token]").value,
  };
}

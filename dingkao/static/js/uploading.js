// Files in pieces: sent one after another, held when the connection is cut, gone on with by itself when it is back, and offered again
// when the page was closed meanwhile, for the file stays on this device until the server has it whole. Used by every form of
// components/uploads.html; `transfer`, `keep`, `drop`, `kept` and `smaller` serve other pages (photo.js).
const NAME = "dingkao-uploads";
const A_DAY = 24 * 3600 * 1000;
const PATIENCE = 60000;
const PAUSES = [2000, 4000, 8000, 15000];
const MOST_BYTES = 10 * 1024 * 1024;
const KINDS = { jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", pdf: "application/pdf" };
const HEIC = "这是苹果手机的HEIC格式照片,暂时不能识别。请对这张照片截图后上传截图,或在手机“设置-相机-格式”中选择“兼容性最佳”后重新拍照。";
export const CUT = "网络已断开,已上传的部分没有丢失。网络恢复后会自动继续,请保留本页。";

// --- what stays on this device until the server has it

function within(mode, act) {
  return new Promise((resolve) => {
    window.setTimeout(resolve, 3000, undefined);
    try {
      const asked = indexedDB.open(NAME, 1);
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

function bytes(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsArrayBuffer(blob);
  });
}

const scope = (where) => [where.address, where.who, where.purpose, where.subject].join(" ");

export async function keep(item, where) {
  const row = { key: item.key, scope: scope(where), name: item.name, type: item.blob.type, content: await bytes(item.blob), at: Date.now() };
  await within("readwrite", (files) => files.put(row));
}

export function drop(key) {
  return within("readwrite", (files) => files.delete(key));
}

// What this person began here for this and did not finish; what is older than a day goes, for the server has forgotten it too.
export async function kept(where) {
  const rows = await within("readwrite", (files, give) => {
    const asked = files.getAll();
    asked.onsuccess = () => {
      for (const row of asked.result) if (Date.now() - row.at > A_DAY) files.delete(row.key);
      give(asked.result);
    };
  });
  const mine = (rows ?? []).filter((row) => row.scope === scope(where) && Date.now() - row.at <= A_DAY);
  return mine.map((row) => ({ key: row.key, name: row.name, blob: new Blob([row.content], { type: row.type }) }));
}

export function newKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  const digits = [...random].map((one) => one.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// --- pictures

export function opened(blob) {
  return new Promise((resolve, reject) => {
    const picture = new Image();
    const address = URL.createObjectURL(blob);
    picture.onload = () => resolve(picture);
    picture.onerror = () => {
      URL.revokeObjectURL(address);
      reject(new Error("unreadable"));
    };
    picture.src = address;
  });
}

export async function isHeic(blob) {
  const head = new Uint8Array(await bytes(blob.slice(0, 12)));
  const words = String.fromCharCode(...head.slice(4));
  return /^ftyp(hei|hev|mif1|msf1)/.test(words);
}

// A large photo, smaller: a phone's camera makes ten times of what a reviewer can use. What can't be made smaller is sent as it is.
export async function smaller(blob, side = 2400) {
  if (!/^image\/(jpeg|png)$/.test(blob.type) || !window.CSS?.supports?.("image-orientation", "from-image")) return blob;
  try {
    const picture = await opened(blob);
    const scale = Math.min(1, side / Math.max(picture.naturalWidth, picture.naturalHeight));
    if (scale === 1 && blob.size <= 3 * 1024 * 1024) {
      URL.revokeObjectURL(picture.src);
      return blob;
    }
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(picture.naturalWidth * scale);
    canvas.height = Math.round(picture.naturalHeight * scale);
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(picture.src);
    const made = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.88));
    return made && made.size < blob.size ? made : blob;
  } catch {
    return blob;
  }
}

// --- the way to the server

async function ask(address, token, body) {
  const stop = new AbortController();
  const late = window.setTimeout(() => stop.abort(), PATIENCE);
  try {
    const answer = await fetch(address, {
      method: "POST", body, redirect: "manual", signal: stop.signal, credentials: "same-origin",
      headers: { Accept: "application/json", "X-CSRFToken": token, ...(body instanceof Blob ? { "Content-Type": "application/octet-stream" } : {}) },
    });
    return { status: answer.status, told: answer.type === "opaqueredirect" ? {} : await answer.json().catch(() => ({})) };
  } finally {
    window.clearTimeout(late);
  }
}

function pause(time, signal) {
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

// Send `item` {key, name, blob} whole. `watch` is told {share, held, sentence}. Gives {state, sentence, document}: «done», «refused» (the
// file is not taken), «ended» (signed out, or the page too old), «failed» (may be tried again), «stopped».
export async function transfer(item, where, watch, signal) {
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
        for (const [name, value] of [["purpose", where.purpose], ["subject", where.subject], ["key", item.key], ["name", item.name], ["size", size]]) {
          form.append(name, value);
        }
        answer = await ask(where.address, where.token, form);
      } else if (received < size) {
        const piece = item.blob.slice(received, received + chunk);
        answer = await ask(`${where.address}/${upload}/chunk?offset=${received}`, where.token, piece);
      } else {
        answer = await ask(`${where.address}/${upload}/finish`, where.token, new FormData());
      }
    } catch {
      if (signal.aborted) return { state: "stopped", upload };
      watch({ share: received / size, held: true, sentence: CUT });
      await pause(PAUSES[Math.min(tries, PAUSES.length - 1)], signal);
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
      await drop(item.key);
      item.key = newKey();
      await keep(item, where);
      upload = "";
      renewed = true;
    } else if (status === 429 || status >= 500) {
      if (tries >= 5 && status !== 503) return { state: "failed", upload, sentence: told.error ?? "暂时无法上传,请稍后重试。" };
      watch({ share: received / size, held: true, sentence: told.error ?? "服务暂时没有应答,稍后会自动继续。" });
      await pause(status === 429 ? 30000 : PAUSES[Math.min(tries, PAUSES.length - 1)], signal);
      tries += 1;
    } else if (status === 0 || (status >= 300 && status < 400)) {
      return { state: "ended", upload, sentence: "登录已失效。请重新登录后回到本页,点“继续上传”,已上传的部分没有丢失。" };
    } else if (status === 400) {
      return { state: "ended", upload, sentence: "页面打开时间过长。请刷新本页后点“继续上传”,已上传的部分没有丢失。" };
    } else {
      return { state: "refused", upload, sentence: told.error ?? "文件没有被接受,请重新选择。" };
    }
  }
}

export async function giveUp(item, upload, where) {
  await drop(item.key);
  if (upload) await ask(`${where.address}/${upload}/cancel`, where.token, new FormData()).catch(() => null);
}

export function whereOf(element) {
  return {
    address: element.dataset.uploads, purpose: element.dataset.purpose, subject: element.dataset.subject ?? "", who: element.dataset.who,
    token: element.querySelector("[name=csrf_token]").value,
  };
}

export { HEIC };

// --- a form of several files

function made(tag, words, name) {
  const element = document.createElement(tag);
  if (words) element.textContent = words;
  if (name) element.className = name;
  return element;
}

class Files {
  constructor(form) {
    this.form = form;
    this.where = whereOf(form);
    this.list = form.querySelector("[data-sending]");
    this.line = form.querySelector("[data-line]");
    this.said = form.querySelector("[data-said]");
    this.queue = [];
    this.busy = false;
    for (const plain of form.querySelectorAll("[data-plain]")) plain.hidden = true;
    for (const pick of form.querySelectorAll("[data-pick]")) {
      pick.hidden = false;
      const input = pick.querySelector("input");
      const chosen = async () => {
        const files = [...input.files];
        input.value = "";
        for (const file of files) await this.take(file); // one by one: they keep their order, and a phone its memory
      };
      input.addEventListener("change", chosen);
      chosen(); // a browser may give back what was chosen before a reload
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    this.offer();
  }

  async offer() {
    for (const item of await kept(this.where)) {
      const row = this.row(item);
      row.words.textContent = "上次没有传完";
      row.bar.hidden = true;
      this.buttons(row, ["继续上传", () => this.enqueue(row)], ["取消", () => this.giveUp(row)]);
    }
  }

  async take(file) {
    const type = KINDS[file.name.split(".").pop().toLowerCase()] ?? file.type;
    const item = { key: newKey(), name: file.name, blob: file.type === type ? file : new Blob([file], { type }) };
    const row = this.row(item);
    row.words.textContent = "正在准备…";
    if (!Object.values(KINDS).includes(type)) {
      this.wrong(row, (await isHeic(file)) || /hei[cf]/.test(type) ? HEIC : "只能上传jpg、png图片或pdf文件,请重新选择。");
      return;
    }
    if (await isHeic(file)) {
      this.wrong(row, HEIC);
      return;
    }
    item.blob = await smaller(item.blob);
    if (item.blob.size > MOST_BYTES) {
      this.wrong(row, "文件超过10MB,请压缩后重新选择。");
      return;
    }
    if (!item.blob.size) {
      this.wrong(row, "文件是空的,请重新选择。");
      return;
    }
    await keep(item, this.where);
    this.enqueue(row);
  }

  row(item) {
    const element = made("li");
    const head = made("div");
    const words = made("span", "", "words");
    const bar = made("progress");
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", `${item.name}的上传进度`);
    if (item.blob.type.startsWith("image/")) {
      opened(item.blob).then((picture) => {
        picture.alt = "";
        element.prepend(picture);
      }, () => null);
    }
    head.append(made("b", item.name), words);
    const acts = made("div", "", "acts");
    const body = made("div", "", "body");
    body.append(head, bar, acts);
    element.append(body);
    this.list.append(element);
    return { item, element, words, bar, acts, stop: null, upload: "" };
  }

  buttons(row, ...acts) {
    row.acts.replaceChildren(
      ...acts.map(([words, act]) => {
        const button = made("button", words, "plain");
        button.type = "button";
        button.setAttribute("aria-label", `${words}:${row.item.name}`);
        button.addEventListener("click", act);
        return button;
      }),
    );
  }

  enqueue(row) {
    row.element.classList.remove("field_wrong");
    row.words.className = "words";
    row.words.textContent = "等待上传";
    row.stop = new AbortController();
    this.buttons(row, ["取消", () => this.giveUp(row)]);
    this.queue.push(row);
    this.work();
  }

  async work() {
    if (this.busy) return;
    this.busy = true;
    while (this.queue.length) await this.send(this.queue.shift());
    this.busy = false;
  }

  async send(row) {
    if (row.stop.signal.aborted) return;
    row.bar.hidden = false;
    const watch = ({ share, held, sentence, finishing }) => {
      row.bar.value = share;
      const percent = `已上传${Math.floor(share * 100)}%`;
      row.words.textContent = held ? `${percent},已暂停` : finishing ? "已上传100%,正在检查…" : percent;
      this.hold(held ? sentence : "");
    };
    watch({ share: 0 });
    this.tell(`正在上传${row.item.name}`);
    const end = await transfer(row.item, this.where, watch, row.stop.signal);
    row.upload = end.upload ?? "";
    this.hold("");
    if (end.state === "done") {
      await drop(row.item.key);
      row.bar.value = 1;
      row.words.textContent = "已上传";
      row.acts.replaceChildren();
      this.tell(`${row.item.name}已上传`);
      if (await this.refresh()) row.element.remove();
    } else if (end.state === "refused") {
      giveUp(row.item, end.upload, this.where);
      this.wrong(row, end.sentence);
    } else if (end.state === "stopped") {
      giveUp(row.item, end.upload, this.where);
    } else {
      this.wrong(row, end.sentence, ...(end.state === "failed" ? [["重试", () => this.enqueue(row)]] : [["刷新本页", () => window.location.reload()]]));
    }
  }

  giveUp(row) {
    row.stop?.abort();
    if (!row.stop || this.queue.includes(row)) {
      this.queue = this.queue.filter((one) => one !== row);
      giveUp(row.item, row.upload, this.where);
    }
    row.element.remove();
    this.tell(`${row.item.name}已取消`);
    this.hold("");
  }

  wrong(row, sentence, ...acts) {
    this.tell("");
    row.element.classList.add("field_wrong");
    row.words.className = "words wrong";
    row.words.textContent = sentence;
    row.words.setAttribute("role", "alert");
    row.bar.hidden = true;
    this.buttons(row, ...acts, ["移除", () => {
      drop(row.item.key);
      row.element.remove();
    }]);
  }

  hold(sentence) {
    if (this.line.textContent === sentence) return;
    this.line.textContent = sentence;
    this.line.hidden = !sentence;
  }

  tell(sentence) {
    this.said.textContent = sentence;
  }

  // The list of what is here, as the server shows it.
  async refresh() {
    try {
      const answer = await fetch(window.location.href, { credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(this.form.dataset.shown);
      const old = document.getElementById(this.form.dataset.shown);
      if (!fresh || !old) return false;
      old.replaceWith(fresh);
      for (const asking of fresh.querySelectorAll("form[data-confirm]")) {
        asking.addEventListener("submit", (event) => {
          if (!window.confirm(asking.dataset.confirm)) event.preventDefault();
        });
      }
      return true;
    } catch {
      return false;
    }
  }
}

if (window.fetch && window.AbortController && window.FormData) {
  for (const form of document.querySelectorAll("form[data-uploads][data-shown]")) new Files(form);
}

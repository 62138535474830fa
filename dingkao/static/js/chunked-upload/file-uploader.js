// A form of several files: each with its progress, what can be done about it, and what is wrong with it.
import { HEIC_MESSAGE, decodeImage, downscaleImage, isHeic } from "./pictures.js";
import { cancelUpload, uploadFile, uploadTarget } from "./sending.js";
import { newKey, removeFile, storeFile, storedFiles } from "./stored-files.js";

const KINDS = { jpg: "image/jpeg", jpeg: "image/jpeg", png: "image/png", pdf: "application/pdf" };

function makeElement(tag, words, name) {
  const element = document.createElement(tag);
  if (words) element.textContent = words;
  if (name) element.className = name;
  return element;
}

export class FileUploader {
  constructor(form) {
    this.form = form;
    this.where = uploadTarget(form);
    this.maxBytes = Number(form.dataset.maxBytes);
    this.list = form.querySelector("[data-sending]");
    this.line = form.querySelector("[data-upload-status]");
    this.said = form.querySelector("[data-status]");
    this.queue = [];
    this.busy = false;
    for (const plain of form.querySelectorAll("[data-submit-plain]")) plain.hidden = true;
    for (const pick of form.querySelectorAll("[data-file-picker]")) {
      pick.hidden = false;
      const input = pick.querySelector("input");
      const chosen = async () => {
        const files = [...input.files];
        input.value = "";
        // one by one: they keep their order, and a phone its memory
        for (const file of files) await this.take(file);
      };
      input.addEventListener("change", chosen);
      chosen(); // a browser may give back what was chosen before a reload
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    this.offer();
  }

  async offer() {
    for (const item of await storedFiles(this.where)) {
      const row = this.row(item);
      row.words.textContent = "上次没有传完";
      row.bar.hidden = true;
      this.buttons(row, ["继续上传", () => this.enqueue(row)], ["取消", () => this.giveUp(row)]);
    }
  }

  async take(file) {
    const type = KINDS[file.name.split(".").pop().toLowerCase()] ?? file.type;
    const item = {
      key: newKey(),
      name: file.name,
      blob: file.type === type ? file : new Blob([file], { type }),
    };
    const row = this.row(item);
    row.words.textContent = "正在准备…";
    if (!Object.values(KINDS).includes(type)) {
      this.wrong(
        row,
        (await isHeic(file)) || /hei[cf]/.test(type)
          ? HEIC_MESSAGE
          : "只能上传jpg、png图片或pdf文件，请重新选择。",
      );
      return;
    }
    if (await isHeic(file)) {
      this.wrong(row, HEIC_MESSAGE);
      return;
    }
    item.blob = await downscaleImage(item.blob);
    if (item.blob.size > this.maxBytes) {
      this.wrong(row, `文件超过${this.maxBytes / 1024 / 1024}MB，请压缩后重新选择。`);
      return;
    }
    if (!item.blob.size) {
      this.wrong(row, "文件是空的，请重新选择。");
      return;
    }
    await storeFile(item, this.where);
    this.enqueue(row);
  }

  row(item) {
    const element = makeElement("li");
    const head = makeElement("div");
    const words = makeElement("span", "", "upload-message");
    const bar = makeElement("progress");
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", `${item.name}的上传进度`);
    if (item.blob.type.startsWith("image/")) {
      decodeImage(item.blob).then(
        (picture) => {
          picture.alt = "";
          element.prepend(picture);
        },
        () => null,
      );
    }
    head.append(makeElement("b", item.name), words);
    const acts = makeElement("div", "", "acts");
    const body = makeElement("div", "", "upload-details");
    body.append(head, bar, acts);
    element.append(body);
    this.list.append(element);
    return { item, element, words, bar, acts, stop: null, upload: "" };
  }

  buttons(row, ...acts) {
    row.acts.replaceChildren(
      ...acts.map(([words, act]) => {
        const button = makeElement("button", words, "link-button");
        button.type = "button";
        button.setAttribute("aria-label", `${words}：${row.item.name}`);
        button.addEventListener("click", act);
        return button;
      }),
    );
  }

  enqueue(row) {
    row.element.classList.remove("form-field--invalid");
    row.words.className = "upload-message";
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
      row.words.textContent = held ? `${percent}，已暂停` : finishing ? "已上传100%，正在检查…" : percent;
      this.hold(held ? sentence : "");
    };
    watch({ share: 0 });
    this.tell(`正在上传${row.item.name}`);
    const end = await uploadFile(row.item, this.where, watch, row.stop.signal);
    row.upload = end.upload ?? "";
    this.hold("");
    if (end.state === "done") {
      await removeFile(row.item.key);
      row.bar.value = 1;
      row.words.textContent = "已上传";
      row.acts.replaceChildren();
      this.tell(`${row.item.name}已上传`);
      if (await this.refresh()) row.element.remove();
    } else if (end.state === "refused") {
      cancelUpload(row.item, end.upload, this.where);
      this.wrong(row, end.sentence);
    } else if (end.state === "stopped") {
      cancelUpload(row.item, end.upload, this.where);
    } else {
      this.wrong(
        row,
        end.sentence,
        ...(end.state === "failed"
          ? [["重试", () => this.enqueue(row)]]
          : [["刷新本页", () => window.location.reload()]]),
      );
    }
  }

  giveUp(row) {
    row.stop?.abort();
    if (!row.stop || this.queue.includes(row)) {
      this.queue = this.queue.filter((one) => one !== row);
      cancelUpload(row.item, row.upload, this.where);
    }
    row.element.remove();
    this.tell(`${row.item.name}已取消`);
    this.hold("");
  }

  wrong(row, sentence, ...acts) {
    this.tell("");
    row.element.classList.add("form-field--invalid");
    row.words.className = "upload-message field-error";
    row.words.textContent = sentence;
    row.words.setAttribute("role", "alert");
    row.bar.hidden = true;
    this.buttons(row, ...acts, [
      "移除",
      () => {
        removeFile(row.item.key);
        row.element.remove();
      },
    ]);
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
      const fresh = page.getElementById(this.form.dataset.listId);
      const old = document.getElementById(this.form.dataset.listId);
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

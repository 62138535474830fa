// A sheet that is too large for one request goes in pieces (chunked-upload.js), with its progress below
// the form; smaller ones go as the form does.
import {
  removeFile,
  cancelUpload,
  storeFile,
  storedFiles,
  newKey,
  uploadFile,
  uploadTarget,
} from "./chunked-upload.js";

const form = document.querySelector("form[data-chunk-threshold]");
if (form && window.fetch && window.AbortController && window.FormData) initialise(form);

function initialise(form) {
  const where = uploadTarget(form);
  const input = form.querySelector("input[type=file]");
  const buttons = form.querySelectorAll("[type=submit]");
  const [bar, line, again] = ["progress", "[data-upload-status]", "[data-retry]"].map((one) =>
    form.querySelector(one),
  );
  // sent whole and refused, perhaps for another field than the file: it need not be sent again
  let refused = null;

  const tell = (sentence, wrong = false) => {
    line.textContent = sentence;
    line.hidden = !sentence;
    line.classList.toggle("text-danger", wrong);
  };

  const wait = (waiting) => {
    for (const button of buttons) button.disabled = waiting;
    bar.hidden = !waiting;
  };

  async function send(item) {
    wait(true);
    again.hidden = true;
    const watch = ({ share, held, sentence, finishing }) => {
      bar.value = share;
      tell(
        held
          ? sentence
          : finishing
            ? "已上传100%，正在检查…"
            : `正在上传${item.name}：${Math.floor(share * 100)}%`,
      );
    };
    watch({ share: 0 });
    const end = await uploadFile(item, where, watch, new AbortController().signal);
    wait(false);
    if (end.state === "done") {
      await removeFile(item.key);
      window.location.assign(form.dataset.jobUrl.replace(form.dataset.placeholderId, end.document));
    } else {
      tell(end.sentence, true);
      if (end.state !== "refused") {
        offer(item);
        return;
      }
      refused = { item, upload: end.upload };
      await removeFile(item.key);
    }
  }

  function offer(item) {
    again.textContent = `继续上传${item.name}`;
    again.hidden = false;
    again.onclick = () => send(item);
  }

  // What is filled in beside the file, and the button that was pressed.
  function fieldsOf(pressed) {
    const button = [...buttons].find((one) => one === pressed);
    const given = [...new FormData(form)].filter(
      ([name, value]) => name !== "csrf_token" && typeof value === "string",
    );
    return Object.fromEntries(button?.name ? [...given, [button.name, button.value]] : given);
  }

  function lacking() {
    return [...form.querySelectorAll("[required]:not([type=file])")].find((one) => !one.value.trim());
  }

  async function itemOf(file, button) {
    const before = refused;
    refused = null;
    if (before && before.item.blob === file) return { ...before.item, fields: fieldsOf(button) };
    if (before) cancelUpload(before.item, before.upload, where);
    return { key: newKey(), name: file.name, blob: file, fields: fieldsOf(button) };
  }

  form.addEventListener("submit", async (event) => {
    const [file] = input.files;
    if (!file || file.size <= Number(form.dataset.chunkThreshold)) return;
    event.preventDefault();
    const missing = lacking();
    if (missing) {
      tell(`请填写${missing.labels[0].textContent.trim()}。`, true);
      missing.focus();
      return;
    }
    const item = await itemOf(file, event.submitter ?? document.activeElement);
    await storeFile(item, where);
    send(item);
  });
  storedFiles(where).then(([item]) => item && offer(item));
}

// The photo: chosen or taken, cropped to the certificate's ratio, shown as on the certificate, and sent
// only when it has been confirmed;
// until then the old one stays. The cropper is fetched when a picture has been chosen, not before.
const form = document.querySelector("form[data-crop-script]");
const byId = (id) => document.getElementById(id);
const [WIDTH, HEIGHT] = [413, 579];
const MAX_SCALE = 2; // times the certificate's own size
const MAX_BYTES = Math.min(300 * 1024, Number(form.dataset.maxBytes)); // the province may take less
const UNREADABLE = "这不是可以识别的照片。请选择jpg或png格式的照片；手机上可先截图再上传。";
const STEP = 12;
let uploading = null;
let cropper = null;
let item = null;
let stop = null;
let failed = false;

function showOnly(id) {
  for (const one of ["crop", "preview"]) byId(one).hidden = one !== id;
  for (const one of ["current", "choose", "below", "hints"])
    if (byId(one)) byId(one).hidden = id !== "choose";
  byId(`${id}-head`)?.focus();
}

function showError(sentence) {
  byId("wrong").hidden = !sentence;
  byId("wrong").textContent = sentence;
  if (sentence) byId("wrong").scrollIntoView({ block: "center" });
}

function showWaiting(sentence) {
  if (byId("line").textContent === sentence) return;
  byId("line").hidden = !sentence;
  byId("line").textContent = sentence;
}

function loadScript(tag, address) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(
      document.createElement(tag),
      tag === "link" ? { rel: "stylesheet", href: address } : { src: address },
    );
    element.onload = resolve;
    element.onerror = () => {
      element.remove();
      reject(new Error("not fetched"));
    };
    document.head.append(element);
  });
}

async function openFile(file) {
  showError("");
  let picture;
  try {
    picture = await uploading.decodeImage(await uploading.downscaleImage(file));
  } catch {
    showError((await uploading.isHeic(file)) ? uploading.HEIC_MESSAGE : UNREADABLE);
    return;
  }
  try {
    if (!window.Cropper)
      await Promise.all([
        loadScript("link", form.dataset.cropperStyle),
        loadScript("script", form.dataset.cropScript),
      ]);
  } catch {
    showError("网络已断开，裁剪工具没有载入。请在网络恢复后重新选择照片，原照片没有变化。");
    return;
  }
  if (picture.naturalWidth < 100 || picture.naturalHeight < 100) {
    showError(
      `照片太小（${picture.naturalWidth}×${picture.naturalHeight}），印在证书上会不清楚。请选择原图或重新拍照。`,
    );
    return;
  }
  showOnly("crop");
  cropper?.destroy();
  byId("cropping").src = picture.src;
  setCropperVisible(false);
  cropper = new window.Cropper(byId("cropping"), {
    aspectRatio: WIDTH / HEIGHT,
    viewMode: 1,
    dragMode: "move",
    autoCropArea: 0.9,
    cropBoxMovable: false,
    cropBoxResizable: false,
    toggleDragModeOnDblclick: false,
    checkOrientation: false,
    guides: false,
    center: false,
    background: false,
    ready: () => {
      fill();
      setCropperVisible(true);
    },
  });
}

// Until the picture is laid out nothing can be done with it, and the buttons still move as it takes its
// place.
function setCropperVisible(whether) {
  for (const button of [byId("cut"), ...form.querySelectorAll("[data-action]")]) button.disabled = !whether;
}

// The picture fills the frame, and is never smaller than it.
function fill() {
  const frame = cropper.getCropBoxData();
  const canvas = cropper.getCanvasData();
  const scale = Math.max(frame.width / canvas.width, frame.height / canvas.height);
  if (scale > 1) cropper.zoom(scale - 1);
}

const cropActions = {
  in: () => cropper.zoom(0.1),
  out: () => cropper.zoom(-0.1),
  left: () => cropper.rotate(-90),
  right: () => cropper.rotate(90),
  west: () => cropper.move(-STEP, 0),
  east: () => cropper.move(STEP, 0),
  north: () => cropper.move(0, -STEP),
  south: () => cropper.move(0, STEP),
};

// At once: `toBlob` waits for an idle moment, which on a busy phone is seconds away, for each quality again.
function jpegOf(canvas, quality) {
  const written = window.atob(canvas.toDataURL("image/jpeg", quality).split(",")[1] ?? "");
  return written
    ? new Blob([Uint8Array.from(written, (letter) => letter.charCodeAt(0))], { type: "image/jpeg" })
    : null;
}

function cropToCanvas() {
  const found = cropper.getData(true);
  // never larger than what was photographed
  const width = Math.max(1, Math.min(Math.round(found.width), WIDTH * MAX_SCALE));
  const canvas = cropper.getCroppedCanvas({
    width,
    height: Math.round((width * HEIGHT) / WIDTH),
    fillColor: "#fff",
    imageSmoothingQuality: "high",
  });
  let blob = jpegOf(canvas, 0.92);
  for (let quality = 0.85; blob?.size > MAX_BYTES && quality > 0.4; quality -= 0.1)
    blob = jpegOf(canvas, quality);
  if (!blob) {
    showError("照片没有裁剪成功。请再点一次“预览”，仍不成功的请取消后重新选择照片。");
    return;
  }
  show({ key: uploading.newKey(), name: "照片.jpg", blob });
  byId("words").textContent = "";
}

function show(chosen) {
  item = chosen;
  failed = false;
  byId("fresh").src = URL.createObjectURL(chosen.blob);
  byId("bar").hidden = true;
  byId("use").disabled = false;
  byId("use").textContent = "使用这张照片";
  byId("again").hidden = !cropper;
  showError("");
  showOnly("preview");
}

async function confirmPhoto() {
  const where = uploading.uploadTarget(form);
  stop = new AbortController();
  byId("use").disabled = byId("again").disabled = true;
  byId("bar").hidden = false;
  showError("");
  await uploading.storeFile(item, where);
  const watch = ({ share, held, sentence }) => {
    byId("bar").value = share;
    byId("words").textContent = `已上传${Math.floor(share * 100)}%${held ? "，已暂停" : ""}`;
    showWaiting(held ? sentence : "");
  };
  watch({ share: 0 });
  const end = await uploading.uploadFile(item, where, watch, stop.signal);
  showWaiting("");
  byId("again").disabled = false;
  if (end.state === "done") {
    await uploading.removeFile(item.key);
    window.location.replace(form.dataset.storedUrl);
    return;
  }
  byId("bar").hidden = true;
  byId("words").textContent = "";
  if (end.state === "stopped") {
    uploading.cancelUpload(item, end.upload, where);
    return;
  }
  if (end.state === "refused") uploading.cancelUpload(item, end.upload, where);
  failed = end.state !== "refused";
  byId("use").disabled = !failed;
  byId("use").textContent = failed ? "重新发送" : "使用这张照片";
  showError(`${end.sentence}${end.state === "refused" ? "原照片没有变化。" : ""}`);
}

function cancel() {
  if (stop && !stop.signal.aborted) stop.abort();
  else if (item) uploading.cancelUpload(item, "", uploading.uploadTarget(form));
  stop = item = null;
  showWaiting("");
  showError("");
  cropper?.destroy();
  cropper = null;
  showOnly("choose");
}

async function initialise() {
  uploading = await import(form.dataset.module).catch(() => null);
  if (!uploading) return; // the plain form stays
  for (const plain of form.querySelectorAll("[data-submit-plain]")) plain.hidden = true;
  for (const pick of form.querySelectorAll("[data-file-picker]")) {
    pick.hidden = false;
    const input = pick.querySelector("input");
    const chosen = () => {
      const [file] = input.files;
      input.value = "";
      if (file) openFile(file);
    };
    input.addEventListener("change", chosen);
    chosen(); // a browser may give back what was chosen before a reload
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of form.querySelectorAll("[data-action]"))
    button.addEventListener("click", () => cropActions[button.dataset.action]());
  for (const button of form.querySelectorAll("[data-cancel]")) button.addEventListener("click", cancel);
  byId("cut").addEventListener("click", cropToCanvas);
  byId("again").addEventListener("click", () => {
    showError("");
    showOnly("crop");
  });
  byId("use").addEventListener("click", confirmPhoto);
  const [waiting] = (await uploading.storedFiles(uploading.uploadTarget(form))).reverse();
  if (waiting) {
    show(waiting);
    byId("words").textContent = "这张照片上次没有传完。";
    byId("use").textContent = "继续上传";
  }
}

initialise();

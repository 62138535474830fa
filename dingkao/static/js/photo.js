// The photo: chosen or taken, cropped to the certificate's ratio, shown as on the certificate, and sent only when it has been confirmed;
// until then the old one stays. The cropper is fetched when a picture has been chosen, not before.
const form = document.querySelector("form[data-cropper]");
const part = (id) => document.getElementById(id);
const [WIDTH, HEIGHT] = [413, 579];
const LARGEST = 2; // times the certificate's own size
const MOST_BYTES = 300 * 1024;
const UNREADABLE = "这不是可以识别的照片。请选择jpg或png格式的照片;手机上可先截图再上传。";
const STEP = 12;
let uploading = null;
let cropper = null;
let item = null;
let stop = null;
let failed = false;

function only(id) {
  for (const one of ["crop", "preview"]) part(one).hidden = one !== id;
  for (const one of ["current", "choose", "below", "hints"]) if (part(one)) part(one).hidden = id !== "choose";
  part(`${id}-head`)?.focus();
}

function wrong(sentence) {
  part("wrong").hidden = !sentence;
  part("wrong").textContent = sentence;
  if (sentence) part("wrong").scrollIntoView({ block: "center" });
}

function hold(sentence) {
  if (part("line").textContent === sentence) return;
  part("line").hidden = !sentence;
  part("line").textContent = sentence;
}

function fetched(tag, address) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement(tag), tag === "link" ? { rel: "stylesheet", href: address } : { src: address });
    element.onload = resolve;
    element.onerror = () => {
      element.remove();
      reject(new Error("not fetched"));
    };
    document.head.append(element);
  });
}

async function take(file) {
  wrong("");
  let picture;
  try {
    picture = await uploading.opened(await uploading.smaller(file));
  } catch {
    wrong((await uploading.isHeic(file)) ? uploading.HEIC : UNREADABLE);
    return;
  }
  try {
    if (!window.Cropper) await Promise.all([fetched("link", form.dataset.cropperStyle), fetched("script", form.dataset.cropper)]);
  } catch {
    wrong("网络已断开,裁剪工具没有载入。请在网络恢复后重新选择照片,原照片没有变化。");
    return;
  }
  if (picture.naturalWidth < 100 || picture.naturalHeight < 100) {
    wrong(`照片太小(${picture.naturalWidth}×${picture.naturalHeight}),印在证书上会不清楚。请选择原图或重新拍照。`);
    return;
  }
  only("crop");
  cropper?.destroy();
  part("cropping").src = picture.src;
  laidOut(false);
  cropper = new window.Cropper(part("cropping"), {
    aspectRatio: WIDTH / HEIGHT, viewMode: 1, dragMode: "move", autoCropArea: 0.9, cropBoxMovable: false, cropBoxResizable: false,
    toggleDragModeOnDblclick: false, checkOrientation: false, guides: false, center: false, background: false,
    ready: () => {
      fill();
      laidOut(true);
    },
  });
}

// Until the picture is laid out nothing can be done with it, and the buttons still move as it takes its place.
function laidOut(whether) {
  for (const button of [part("cut"), ...form.querySelectorAll("[data-act]")]) button.disabled = !whether;
}

// The picture fills the frame, and is never smaller than it.
function fill() {
  const frame = cropper.getCropBoxData();
  const canvas = cropper.getCanvasData();
  const scale = Math.max(frame.width / canvas.width, frame.height / canvas.height);
  if (scale > 1) cropper.zoom(scale - 1);
}

const acts = {
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
  return written ? new Blob([Uint8Array.from(written, (letter) => letter.charCodeAt(0))], { type: "image/jpeg" }) : null;
}

function cut() {
  const found = cropper.getData(true);
  const width = Math.max(1, Math.min(Math.round(found.width), WIDTH * LARGEST)); // never larger than what was photographed
  const canvas = cropper.getCroppedCanvas({
    width, height: Math.round((width * HEIGHT) / WIDTH), fillColor: "#fff", imageSmoothingQuality: "high",
  });
  let blob = jpegOf(canvas, 0.92);
  for (let quality = 0.85; blob?.size > MOST_BYTES && quality > 0.4; quality -= 0.1) blob = jpegOf(canvas, quality);
  if (!blob) {
    wrong("照片没有裁剪成功。请再点一次“预览”,仍不成功的请取消后重新选择照片。");
    return;
  }
  show({ key: uploading.newKey(), name: "照片.jpg", blob });
  part("words").textContent = "";
}

function show(chosen) {
  item = chosen;
  failed = false;
  part("fresh").src = URL.createObjectURL(chosen.blob);
  part("bar").hidden = true;
  part("use").disabled = false;
  part("use").textContent = "使用这张照片";
  part("again").hidden = !cropper;
  wrong("");
  only("preview");
}

async function use() {
  const where = uploading.whereOf(form);
  stop = new AbortController();
  part("use").disabled = part("again").disabled = true;
  part("bar").hidden = false;
  wrong("");
  await uploading.keep(item, where);
  const watch = ({ share, held, sentence }) => {
    part("bar").value = share;
    part("words").textContent = `已上传${Math.floor(share * 100)}%${held ? ",已暂停" : ""}`;
    hold(held ? sentence : "");
  };
  watch({ share: 0 });
  const end = await uploading.transfer(item, where, watch, stop.signal);
  hold("");
  part("again").disabled = false;
  if (end.state === "done") {
    await uploading.drop(item.key);
    window.location.replace(form.dataset.kept);
    return;
  }
  part("bar").hidden = true;
  part("words").textContent = "";
  if (end.state === "stopped") {
    uploading.giveUp(item, end.upload, where);
    return;
  }
  if (end.state === "refused") uploading.giveUp(item, end.upload, where);
  failed = end.state !== "refused";
  part("use").disabled = !failed;
  part("use").textContent = failed ? "重新发送" : "使用这张照片";
  wrong(`${end.sentence}${end.state === "refused" ? "原照片没有变化。" : ""}`);
}

function cancel() {
  if (stop && !stop.signal.aborted) stop.abort();
  else if (item) uploading.giveUp(item, "", uploading.whereOf(form));
  stop = item = null;
  hold("");
  wrong("");
  cropper?.destroy();
  cropper = null;
  only("choose");
}

async function begin() {
  uploading = await import(form.dataset.module);
  for (const plain of form.querySelectorAll("[data-plain]")) plain.hidden = true;
  for (const pick of form.querySelectorAll("[data-pick]")) {
    pick.hidden = false;
    const input = pick.querySelector("input");
    const chosen = () => {
      const [file] = input.files;
      input.value = "";
      if (file) take(file);
    };
    input.addEventListener("change", chosen);
    chosen(); // a browser may give back what was chosen before a reload
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const button of form.querySelectorAll("[data-act]")) button.addEventListener("click", () => acts[button.dataset.act]());
  for (const button of form.querySelectorAll("[data-cancel]")) button.addEventListener("click", cancel);
  part("cut").addEventListener("click", cut);
  part("again").addEventListener("click", () => {
    wrong("");
    only("crop");
  });
  part("use").addEventListener("click", use);
  const [waiting] = (await uploading.kept(uploading.whereOf(form))).reverse();
  if (waiting) {
    show(waiting);
    part("words").textContent = "这张照片上次没有传完。";
    part("use").textContent = "继续上传";
  }
}

begin();

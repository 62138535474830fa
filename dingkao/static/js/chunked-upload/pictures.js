// Photos as a phone has them: which can be read, and which are made smaller before they are sent.
export const HEIC_MESSAGE =
  "这是苹果手机的HEIC格式照片，暂时不能识别。请对这张照片截图后上传截图，或在手机“设置-相机-格式”中选择“兼容性最佳”后重新拍照。";

export function toArrayBuffer(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsArrayBuffer(blob);
  });
}

export function decodeImage(blob) {
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
  const head = new Uint8Array(await toArrayBuffer(blob.slice(0, 12)));
  const words = String.fromCharCode(...head.slice(4));
  return /^ftyp(hei|hev|mif1|msf1)/.test(words);
}

// A large photo, smaller: a phone's camera makes ten times of what a reviewer can use. What can't be made
// smaller is sent as it is.
export async function downscaleImage(blob, side = 2400) {
  if (!/^image\/(jpeg|png)$/.test(blob.type) || !window.CSS?.supports?.("image-orientation", "from-image"))
    return blob;
  try {
    const picture = await decodeImage(blob);
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

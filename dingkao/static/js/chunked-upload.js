// Files in pieces: sent one after another, held when the connection is cut, gone on with by itself when it
// is back, and offered again when the page was closed meanwhile, for the file stays on this device until
// the server has it whole. Used by every form of components/uploads.html; `uploadFile`, `storeFile`,
// `removeFile`, `storedFiles` and `downscaleImage` serve other pages (photo-upload.js).
import { FileUploader } from "./chunked-upload/file-uploader.js";
import { HEIC_MESSAGE, decodeImage, downscaleImage, isHeic } from "./chunked-upload/pictures.js";
import { CONNECTION_LOST_MESSAGE, cancelUpload, uploadFile, uploadTarget } from "./chunked-upload/sending.js";
import { newKey, removeFile, storeFile, storedFiles } from "./chunked-upload/stored-files.js";

export {
  CONNECTION_LOST_MESSAGE,
  HEIC_MESSAGE,
  cancelUpload,
  decodeImage,
  downscaleImage,
  isHeic,
  newKey,
  removeFile,
  storeFile,
  storedFiles,
  uploadFile,
  uploadTarget,
};

if (window.fetch && window.AbortController && window.FormData) {
  for (const form of document.querySelectorAll("form[data-uploads][data-list-id]")) new FileUploader(form);
}

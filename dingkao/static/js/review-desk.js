// The page of a record under review: photo and proofs are shown beside the filing, and everything can be done
// by keyboard. Without this module the page works by its links and buttons.
import { startKeys } from "./review-desk/keys.js";
import { startViewer } from "./review-desk/viewer.js";

startKeys(startViewer(document.querySelector("[data-viewer]")));

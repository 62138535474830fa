import { forget } from "./waiting.js";

const ended = document.querySelector("[data-forget]");
if (ended) forget(ended.dataset.forget);

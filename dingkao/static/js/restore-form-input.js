// What was typed into a form of the console whose session had expired when it was sent: kept in this tab
// until one has signed in again, and
// put back where it stood. Hidden fields, passwords and files are not kept.
const STORAGE_KEY = "dk-typed";
const EXCLUDED_TYPES = ["hidden", "password", "file", "submit", "button", "image", "reset"];

function storage(act) {
  try {
    return act(window.sessionStorage);
  } catch {
    return null; // no storage: what was typed is lost with the session then
  }
}

const fields = (form) =>
  Array.from(form.elements).filter((field) => field.name && !EXCLUDED_TYPES.includes(field.type));
const isCheckable = (field) => field.type === "checkbox" || field.type === "radio";
const currentUrl = () => window.location.pathname + window.location.search;

const signingIn = document.body.dataset.signIn !== undefined;

for (const form of signingIn ? [] : document.querySelectorAll('main form[method="post"]')) {
  form.addEventListener("submit", () => {
    const typed = fields(form).map((field) => [
      field.name,
      field.value,
      isCheckable(field) ? field.checked : null,
    ]);
    storage((kept) =>
      kept.setItem(
        STORAGE_KEY,
        JSON.stringify({ page: currentUrl(), action: form.action, typed, expired: false }),
      ),
    );
  });
}

function restore(form, typed) {
  for (const [name, value, checked] of typed) {
    const field = fields(form).find((one) => one.name === name && (checked === null || one.value === value));
    if (!field) continue;
    if (checked === null) field.value = value;
    else field.checked = checked;
  }
  const told = document.createElement("div");
  told.className = "alert alert-info";
  told.role = "status";
  told.textContent = "登录过期前填写的内容已恢复，尚未提交，请核对后重新提交。";
  form.before(told);
}

const storedInput = storage((kept) => JSON.parse(kept.getItem(STORAGE_KEY)));
if (storedInput && signingIn) {
  storage((kept) => kept.setItem(STORAGE_KEY, JSON.stringify({ ...storedInput, expired: true })));
} else if (storedInput) {
  const form = Array.from(document.querySelectorAll('main form[method="post"]')).find(
    (one) => one.action === storedInput.action,
  );
  if (storedInput.expired && storedInput.page === currentUrl() && form) restore(form, storedInput.typed);
  if (!storedInput.expired || storedInput.page === currentUrl())
    storage((kept) => kept.removeItem(STORAGE_KEY));
}

// Names that the server suggests while one is typed into a field with data-suggestions, its address: of
// institutions, of departments. The page works without it.
function addSuggestions(field, number) {
  const list = document.createElement("datalist");
  list.id = `suggestions-${number}`;
  field.after(list);
  field.setAttribute("list", list.id);
  let typing;
  field.addEventListener("input", () => {
    window.clearTimeout(typing);
    typing = window.setTimeout(() => showSuggestions(field, list), 250);
  });
}

async function showSuggestions(field, list) {
  const words = field.value.trim();
  if (!words) return;
  const answer = await fetch(`${field.dataset.suggestions}?words=${encodeURIComponent(words)}`).catch(() => null);
  if (!answer?.ok || words !== field.value.trim()) return;
  const options = (await answer.json()).suggestions.map(({ name, label }) => {
    const option = document.createElement("option");
    option.value = name;
    option.label = label;
    return option;
  });
  list.replaceChildren(...options);
}

document.querySelectorAll("[data-suggestions]").forEach(addSuggestions);

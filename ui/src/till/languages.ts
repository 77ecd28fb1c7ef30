import { signal } from '@preact/signals';
import { addTexts, applyLang, lang, type Lang, type Texts } from '../shared/i18n';

/** How long a language may take to load, in milliseconds; its file lies beside the page. */
const TIMEOUT_MS = 4000;

const loaded: Partial<Record<Lang, Promise<boolean>>> = {};
/** The language that was asked for last, whether its texts are there or not. */
export const wanted = signal<Lang>(lang.peek());

/** Loads the texts of a language, once; false when they cannot be had now. */
function load(code: Lang): Promise<boolean> {
  // French came with the script.
  if (code === 'fr') return Promise.resolve(true);
  const under = loaded[code];
  if (under) return under;
  const texts = fetch(`./texts-${code}.json`).then((response) => {
    if (!response.ok) throw new Error(String(response.status));
    return response.json();
  }).then((read: Texts) => {
    addTexts(code, read);
    return true;
  });
  const silence = new Promise<never>((_, reject) => setTimeout(() => reject(new Error('silence')), TIMEOUT_MS));
  const asked = Promise.race([texts, silence]).catch(() => {
    delete loaded[code];
    return false;
  });
  loaded[code] = asked;
  return asked;
}

/**
 * Shows the page in `next` as soon as its texts are there; until then, and when they cannot be had, it stays as it is.
 * False when they could not be loaded; null when another language was asked for meanwhile.
 */
export function showLang(next: Lang): Promise<boolean | null> {
  wanted.value = next;
  return load(next).then((there) => {
    if (wanted.value !== next) return null;
    if (there) applyLang(next);
    return there;
  });
}

/** Tries again for a language that could not be loaded. */
export function retryLang(): void {
  if (wanted.value !== lang.value) showLang(wanted.value);
}

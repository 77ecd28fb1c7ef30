import { signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import type { Names } from '../bindings/Names';
import { pluralForm, type Form, type Lang } from './plural';

export type { Lang };
export const LANGS: Lang[] = ['fr', 'ar', 'en'];
export const lang = signal<Lang>('fr');

/** Sets the language of the page and its direction. */
export function applyLang(next: Lang): void {
  lang.value = next;
  document.documentElement.lang = next;
  document.documentElement.dir = next === 'ar' ? 'rtl' : 'ltr';
  try { localStorage.setItem('hanout.lang', next); } catch (_) { /* private mode: asked again next time */ }
}

/** The language chosen last on this device, else French. */
export function rememberedLang(): Lang {
  try {
    const kept = localStorage.getItem('hanout.lang');
    if (kept === 'ar' || kept === 'en' || kept === 'fr') return kept;
  } catch (_) { /* no storage */ }
  return 'fr';
}

type Entry = string | Partial<Record<Form, string>>;
export type Params = Record<string, string | number>;
export type NodeParams = Record<string, ComponentChildren>;

/** Texts of one language by catalogue. */
export type Texts = Record<string, Record<string, unknown>>;
const known: Record<Lang, Texts> = { fr: {}, ar: {}, en: {} };

/** Takes the texts of a language in; only then may it become that of the page. */
export function addTexts(code: Lang, texts: Texts): void {
  for (const name in texts) known[code][name] = texts[name] as Record<string, unknown>;
}

/** A catalogue whose keys are those of its French texts. What another language lacks is said in French. */
export function catalogue<K extends string>(name: string, french: Record<K, unknown>) {
  addTexts('fr', { [name]: french });
  function template(key: K, count: unknown): string {
    const own = known[lang.value][name];
    const entry = (own && key in own ? own[key] : french[key]) as Entry;
    if (typeof entry === 'string') return entry;
    return entry[pluralForm(lang.value, count)] || entry.other || '';
  }
  return {
    /** Plain text. */
    t(key: K, params?: Params): string {
      return template(key, params && params.count).replace(/\{(\w+)\}/g, (_, name: string) => params && name in params ? String(params[name]) : '');
    },
    /** Text with elements in it: amounts and codes keep their own direction that way. */
    tx(key: K, params: NodeParams): ComponentChildren[] {
      return template(key, params.count).split(/(\{\w+\})/).map((part) => part.charAt(0) === '{' ? params[part.slice(1, -1)] : part);
    },
    has: (key: string): key is K => key in french,
  };
}

/** The name in the language of the page, in French where it was not given. */
export function nameOf(names: Names): string {
  return (lang.value === 'ar' ? names.ar : lang.value === 'en' ? names.en : names.fr) || names.fr;
}

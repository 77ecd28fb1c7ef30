import type { ComponentChildren } from 'preact';
import { formatQuantity } from './format';
import { lang, LANGS, type Lang } from './i18n';

const PATHS = {
  menu: 'M4 6h16M4 12h16M4 18h16',
  back: 'M19 12H5M12 19l-7-7 7-7',
  next: 'M9 6l6 6-6 6',
  search: 'M11 4a7 7 0 1 0 0 14a7 7 0 1 0 0-14M16 16l5 5',
  park: 'M8 5v14M16 5v14',
  recall: 'M8 5l11 7-11 7z',
  erase: 'M21 5H9l-6 7 6 7h12zM17 9l-5 6M12 9l5 6',
  plus: 'M12 5v14M5 12h14',
  minus: 'M5 12h14',
  cross: 'M6 6l12 12M18 6L6 18',
  check: 'M5 13l5 5L20 7',
  bin: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v6M14 11v6',
  percent: 'M19 5L5 19M7 5a2 2 0 1 0 0 4a2 2 0 1 0 0-4M17 15a2 2 0 1 0 0 4a2 2 0 1 0 0-4',
  scan: 'M4 8V5a1 1 0 0 1 1-1h3M16 4h3a1 1 0 0 1 1 1v3M20 16v3a1 1 0 0 1-1 1h-3M8 20H5a1 1 0 0 1-1-1v-3M8 8v8M12 8v8M16 8v8',
  receipt: 'M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6',
  print: 'M7 9V3h10v6M7 17H4V9h16v8h-3M7 14h10v7H7z',
  chart: 'M5 20V11M12 20V4M19 20v-6',
  lock: 'M6 11h12v10H6zM8 11V8a4 4 0 0 1 8 0v3',
  gear: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 5v4M9 15v4',
  out: 'M14 4h6v16h-6M4 12h11M11 8l4 4-4 4',
  drawer: 'M3 14h18v6H3zM5 14l2-9h10l2 9M10 17h4',
  scale: 'M12 4v16M8 20h8M5 7h14M5 7l-3 7a3 3 0 0 0 6 0zM19 7l-3 7a3 3 0 0 0 6 0z',
  safe: 'M4 4h16v14H4zM7 18v3M17 18v3M12 8a3 3 0 1 0 0 6a3 3 0 1 0 0-6M12 8v-1',
  coins: 'M8 5a6 2.500 0 1 0 0 5a6 2.500 0 1 0 0-5M2 7.500v9a6 2.500 0 0 0 12 0v-9M14 12a5 2.200 0 0 1 8 1v4a5 2.200 0 0 1-8 1',
  people: 'M9 4a4 4 0 1 0 0 8a4 4 0 1 0 0-8M2 21a7 7 0 0 1 14 0M16 12h6M19 9l3 3-3 3',
  info: 'M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 11v6M12 7.5v.5',
  alert: 'M12 4L2.500 20h19zM12 10v5M12 17.500v.5',
  key: 'M8 11a4 4 0 1 0 0 8a4 4 0 1 0 0-8M11 12l9-9M16 7l3 3',
  store: 'M4 10v10h16V10M3 10l2-6h14l2 6zM9 20v-6h6v6',
} as const;
export type IconName = keyof typeof PATHS;
const MIRRORED: Partial<Record<IconName, true>> = { back: true, next: true, out: true, recall: true, people: true };

export function Icon({ name }: { name: IconName }) {
  return <svg class={MIRRORED[name] ? 'icon mirror' : 'icon'} viewBox="0 0 24 24" aria-hidden="true"><path d={PATHS[name]} /></svg>;
}

/** Digits and codes: left to right in every language. */
export function Ltr({ children }: { children: ComponentChildren }) {
  return <span class="n" dir="ltr">{children}</span>;
}

export function Qty({ of }: { of: number }) {
  return <Ltr>{formatQuantity(of)}</Ltr>;
}

export type Tone = 'ok' | 'wait' | 'bad' | '';

/** A word and a colour, never a colour alone. */
export function Pill({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return <span class={'pill ' + tone}><i />{children}</span>;
}

export function Empty({ icon, title, children }: { icon: IconName; title?: string; children?: ComponentChildren }) {
  return <div class="empty"><Icon name={icon} />{title ? <b>{title}</b> : null}<div>{children}</div></div>;
}

export function Langs({ names, pick }: { names: Record<Lang, string>; pick: (lang: Lang) => void }) {
  return <div class="langs" role="group">{LANGS.map((code) =>
    <button key={code} type="button" lang={code} class={lang.value === code ? 'on' : ''} aria-pressed={lang.value === code}
      data-testid={'lang-' + code} onClick={() => pick(code)}>{names[code]}</button>)}</div>;
}

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

type Entry = string | Record<string, string>;
const FORMS: Record<string, string[]> = { fr: ['many', 'one', 'other'], ar: ['few', 'many', 'one', 'other', 'two', 'zero'], en: ['one', 'other'] };
const read = (lang: string, file: string) => JSON.parse(readFileSync(`i18n/${lang}/${file}`, 'utf8')) as Record<string, Entry>;
const places = (text: string) => [...new Set(text.match(/\{\w+\}/g) || [])].sort();

describe.each(readdirSync('i18n/fr'))('%s', (file) => {
  const fr = read('fr', file);
  it.each(['ar', 'en'])('%s has the keys of French, in its order', (lang) => {
    expect(Object.keys(read(lang, file))).toEqual(Object.keys(fr));
  });
  it.each(['fr', 'ar', 'en'])('%s has every plural form it needs and the same places to fill', (lang) => {
    for (const [key, entry] of Object.entries(read(lang, file))) {
      const source = fr[key] as Entry;
      expect(typeof entry, key).toBe(typeof source);
      if (typeof entry === 'string') expect(places(entry), key).toEqual(places(source as string));
      else {
        expect(Object.keys(entry).sort(), key).toEqual(FORMS[lang]);
        // One and two may be words; the general form counts.
        expect(places(entry.other as string), key).toEqual(places((source as Record<string, string>).other as string));
      }
    }
  });
  it.each(['fr', 'ar', 'en'])('%s has no empty text and no isolates, which old engines draw reversed', (lang) => {
    const text = readFileSync(`i18n/${lang}/${file}`, 'utf8');
    expect(text).not.toMatch(/[\u2066-\u2069]/);
    expect(text).not.toMatch(/: ""/);
  });
});

it('every reason to refuse has a text, and no text is left over', () => {
  const codes = [...readFileSync('src/bindings/RefusalCode.ts', 'utf8').matchAll(/"(\w+)"/g)].map((match) => match[1]);
  expect(codes.length).toBeGreaterThan(40);
  expect(Object.keys(read('fr', 'refusal.json')).sort()).toEqual(codes.sort());
});

it('every text of the till is used', () => {
  const folders = ['src/till', 'src/office', 'src/shared'];
  const source = folders.flatMap((folder) => readdirSync(folder).map((file) => readFileSync(`${folder}/${file}`, 'utf8'))).join('\n');
  const built = ['print_state_', 'time_', 'cause_', 'account_', 'kind_', 'closing_', 'code_', 'aside_', 'incident_'];
  const unused = [...Object.keys(read('fr', 'till.json')), ...Object.keys(read('fr', 'office.json'))].filter((key) => source.indexOf(`'${key}'`) < 0 && !built.some((start) => key.startsWith(start)));
  expect(unused).toEqual([]);
});

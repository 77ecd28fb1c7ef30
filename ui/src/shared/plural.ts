/** Cardinal plural forms of CLDR. */
export type Form = 'zero' | 'one' | 'two' | 'few' | 'many' | 'other';
export type Lang = 'fr' | 'ar' | 'en';

/**
 * The form that `count` takes in `lang`: a number, or one as it is shown, with spaces between its groups; a sign does not
 * matter. Intl.PluralRules is younger than the oldest engine we run on.
 */
export function pluralForm(lang: Lang, count: unknown): Form {
  const n = Math.abs(Number(String(count).replace(/\s/g, ''))) || 0;
  if (lang === 'en') return n === 1 ? 'one' : 'other';
  if (lang === 'fr') {
    if (n < 2) return 'one';
    return n % 1000000 === 0 ? 'many' : 'other';
  }
  if (n % 1 !== 0) return 'other';
  if (n === 0) return 'zero';
  if (n === 1) return 'one';
  if (n === 2) return 'two';
  const rest = n % 100;
  if (rest >= 3 && rest <= 10) return 'few';
  return rest >= 11 ? 'many' : 'other';
}

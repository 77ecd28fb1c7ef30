/** Cardinal plural forms of CLDR. */
export type Form = 'zero' | 'one' | 'two' | 'few' | 'many' | 'other';
export type Lang = 'fr' | 'ar' | 'en';

/** The form that `n`, a whole number, takes in `lang`. Intl.PluralRules is younger than the oldest engine we run on. */
export function pluralForm(lang: Lang, n: number): Form {
  if (lang === 'en') return n === 1 ? 'one' : 'other';
  if (lang === 'fr') {
    if (n === 0 || n === 1) return 'one';
    return n % 1000000 === 0 ? 'many' : 'other';
  }
  if (n === 0) return 'zero';
  if (n === 1) return 'one';
  if (n === 2) return 'two';
  const rest = n % 100;
  if (rest >= 3 && rest <= 10) return 'few';
  return rest >= 11 ? 'many' : 'other';
}

import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

// Codes that reach the screen as plain text: what ails the printer and the exchange with head office.
it.each([['../crates/printer/src/port.rs', 'Cause'], ['../crates/sync-client/src/engine.rs', 'Problem']])('every code of %s has a text', (file, name) => {
  const codes = [...readFileSync(file, 'utf8').matchAll(new RegExp(`${name}::\\w+ => "(\\w+)"`, 'g'))].map((match) => match[1] as string);
  expect(codes.length).toBeGreaterThan(8);
  const known = { ...JSON.parse(readFileSync('i18n/fr/till.json', 'utf8')), ...JSON.parse(readFileSync('i18n/fr/refusal.json', 'utf8')) };
  expect(codes.filter((code) => !(code in known) && !('cause_' + code in known))).toEqual([]);
});

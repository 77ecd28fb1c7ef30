import type { ComponentChildren } from 'preact';
import fr from '../../i18n/fr/account.json';
import { catalogue } from './i18n';
import { Ltr } from './parts';

const accounts = catalogue<keyof typeof fr>('account', fr);

/** Name of an account: `tax:19` is a rate, `location:LM` a place. Unknown accounts (a newer core) are shown as they are. */
export function accountName(code: string): ComponentChildren {
  const [kind = '', of] = code.split(':');
  if (!accounts.has(kind)) return <Ltr>{code}</Ltr>;
  const rate = kind === 'revenue' || kind === 'tax';
  return [accounts.t(kind), of === undefined ? null : ' ', of === undefined ? null : <Ltr>{rate ? of + '\u00a0%' : of}</Ltr>];
}

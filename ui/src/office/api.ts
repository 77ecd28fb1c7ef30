import type { Names } from '../bindings/Names';

/** What `/office/api` answers; amounts in minor units, quantities in thousandths. */
export interface Me { tenant: string; chain: string; name: string }
export interface StockLine {
  variant: string; sku: string; style: string; names: Names; brand: string; category: string;
  options: { name: string; value: string }[]; quantities: Record<string, number>;
  parts: { sku: string; quantity: number }[];
}
export interface StockPage { locations: string[]; location_names: Record<string, Names>; rows: StockLine[]; total: number; offset: number }
export interface TakingsLine { date: string; store: string; till: string; currency: string; receipts: number; reversals: number; takings_minor: number; units: number }
export interface ClosingLine { store: string; till: string; currency: string | null; kind: 'z' | 'day' | 'month' | 'year'; number: number; name: string; wall: number; sales: number; reversals: number; takings_minor: number; difference_minor: number; perpetual_minor: number }
export interface BalanceLine { store: string; currency: string; account: string; debit_minor: number; credit_minor: number }
export interface Accounts { closings: ClosingLine[]; balances: BalanceLine[]; stores: Record<string, Names> }
export interface CurrencyTotal { currency: string; receipts: number; reversals: number; takings_minor: number; units: number }
export interface Takings { date: string; rows: TakingsLine[]; totals: CurrencyTotal[]; stores: Record<string, Names> }
export interface TillLine {
  store: string; till: string; device: string; contact_age_ms: number; head_seq: number; unsynced: number;
  oldest_age_ms: number | null; quarantined: number; revoked: boolean; app: string;
}
/** An event of a till that was kept but is in no sum. */
export interface SetAsideLine { store: string; till: string; series: string; seq: number; code: string; kind: string | null; number: string | null; received: number }
export interface Tills { server_time: number; rows: TillLine[]; set_aside: SetAsideLine[] }

/** An event that led to an incident; without a till it is the server's own. */
export interface StoryLine { stream: string; seq: number; store: string | null; till: string | null; kind: string | null; number: string | null; wall: number | null }
/** An event that counted or moved goods; without a till it is the server's own. */
export interface LineageStep {
  stream: string; seq: number; store: string | null; till: string | null; kind: string | null; number: string | null; other: string | null; wall: number | null;
  quantity: number; balance: number;
}
export interface ZoneLineage { zone: string; quantity: number; count: LineageStep | null; older: number; older_sum: number; steps: LineageStep[]; settled: number }
/** Where a quantity comes from; none for what was never moved nor counted. */
export type Lineage = { quantity: number; zones: ZoneLineage[] } | null;
/** What was settled by itself and a person should look at. */
export interface IncidentLine {
  incident: string; kind: string; location: string | null; sku: string | null; quantity: number | null; store: string | null; till: string | null;
  story: StoryLine[]; raised: number; note: string | null; resolved: number | null;
}
export interface Incidents { rows: IncidentLine[]; stores: Record<string, Names> }

/** Why the server did not answer as asked: `unreachable`, or a code of its own. */
export class OfficeRefusal {
  constructor(readonly code: string, readonly after_ms: number) {}
}

async function read(response: Response): Promise<unknown> {
  let body: unknown = null;
  try { body = await response.json(); } catch { /* no JSON */ }
  if (response.ok) return body;
  const refused = (body || {}) as { code?: string; after_ms?: number };
  throw new OfficeRefusal(refused.code || (response.status === 401 ? 'sign_in' : 'unreachable'), refused.after_ms || 0);
}

async function fetched(path: string, init: RequestInit): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch('/office/api/' + path, { credentials: 'same-origin', ...init });
  } catch {
    throw new OfficeRefusal('unreachable', 0);
  }
  return read(response);
}

const get = <T>(path: string) => fetched(path, {}) as Promise<T>;
const post = <T>(path: string, body: unknown) => fetched(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }) as Promise<T>;

export const api = {
  me: () => get<Me>('me'),
  login: (name: string, password: string) => post<Me>('login', { name, password, tenant: new URLSearchParams(location.search).get('tenant') }),
  logout: () => post<null>('logout', {}).catch(() => null),
  stock: (query: string, offset: number, limit: number) => get<StockPage>(`stock?query=${encodeURIComponent(query)}&offset=${offset}&limit=${limit}`),
  lineage: (variant: string, location: string) => get<Lineage>(`stock/lineage?variant=${variant}&location=${encodeURIComponent(location)}`),
  takings: (date: string | null) => get<Takings>('takings' + (date ? '?date=' + date : '')),
  accounts: () => get<Accounts>('accounts'),
  tills: () => get<Tills>('tills'),
  incidents: (all: boolean) => get<Incidents>('incidents?all=' + all),
  resolve: (incident: string, note: string) => post<Incidents>('incidents/resolve', { incident, note }),
};

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { close, open } from './open';

beforeEach(() => { localStorage.clear(); });
afterEach(close);

it('copies the books when asked, and says when', async () => {
  const { sell, tap, seen, find, commands } = await open();
  await sell();
  await tap('menu');
  await tap('system');
  expect((await seen('last-backup')).textContent).toBe('aucune');
  await tap('backup-now');
  await vi.waitFor(() => expect(find('last-backup')?.textContent).toBe('22/11/2026 12:00'));
  expect(commands('BackupNow').length).toBe(1);
});

it('checks the books and names what does not fit', async () => {
  const { sell, tap, seen, find, till } = await open();
  await sell();
  await tap('menu');
  await tap('system');
  await tap('verify-ledger');
  expect((await seen('last-check')).dataset.ok).toBe('true');
  till.broken = 'event 17: hash';
  await tap('verify-ledger');
  await vi.waitFor(() => expect(find('last-check')?.dataset.ok).toBe('false'));
  expect(find('last-check')?.textContent).toContain('event 17: hash');
});

it('waits for a copy that takes its time', async () => {
  const { sell, tap, seen, find, till, state } = await open({ storage: { working: true } });
  await sell();
  await tap('menu');
  await tap('system');
  expect((await seen('backup-now') as HTMLButtonElement).disabled).toBe(true);
  till.storage = { ...till.storage, working: false, problem: 'storage_failed' };
  await state.refresh();
  await seen('system-problem');
  expect((find('backup-now') as HTMLButtonElement).disabled).toBe(false);
});

it('works from the tap until the copy is made, whatever an older status says', async () => {
  let late: Promise<void> | null = null;
  const { sell, tap, seen, find, till, state } = await open({}, (command) => command.type === 'Status' ? late : null);
  await sell();
  await tap('menu');
  await tap('system');
  await seen('backup-now');
  let arrive = () => {};
  late = new Promise((go) => { arrive = go; });
  // A status goes out while nothing works, and is slow.
  const older = state.refresh();
  late = null;
  const handle = till.handle.bind(till);
  till.handle = (command: { type: string }) => {
    if (command.type !== 'BackupNow') return handle(command);
    till.storage = { ...till.storage, working: true };
    return { ok: { type: 'Pending', job: '0193a1b2-0000-7000-8000-000000000001' } };
  };
  await tap('backup-now');
  await vi.waitFor(() => expect(state.status.value?.storage.working).toBe(true));
  arrive();
  await older;
  expect(find('system')?.dataset.working).toBe('true');
  expect((find('verify-ledger') as HTMLButtonElement).disabled).toBe(true);
  till.storage = { ...till.storage, working: false, backups: 1 };
  await state.refresh();
  await vi.waitFor(() => expect(find('system')?.dataset.working).toBe('false'));
  expect(find('backups')?.dataset.count).toBe('1');
});

it('is at work before the till has answered', async () => {
  let arrive = () => {};
  const late = new Promise<void>((go) => { arrive = go; });
  const { sell, tap, find, commands } = await open({}, (command) => command.type === 'BackupNow' ? late : null);
  await sell();
  await tap('menu');
  await tap('system');
  await tap('backup-now');
  await vi.waitFor(() => expect(commands('BackupNow').length).toBe(1));
  expect(find('system')?.dataset.working).toBe('true');
  expect((find('verify-ledger') as HTMLButtonElement).disabled).toBe(true);
  arrive();
  await vi.waitFor(() => expect(find('system')?.dataset.working).toBe('false'));
});

it.each([['low_disk', 'Le disque est bientôt plein', 'status'], ['full', 'plus de nouvelle vente', 'alert'], ['read_only', 'ne s\'écrit plus', 'alert']])('says over every screen that the disk is %s', async (what, text, role) => {
  const { sell, tap, seen, find, till, state } = await open({ storage: { [what]: true } });
  const banner = await seen('storage-banner');
  expect(banner.textContent).toContain(text);
  expect(banner.closest('[role]')?.getAttribute('role')).toBe(role);
  await sell();
  await tap('storage-banner');
  await seen('system');
  till.storage = { ...till.storage, [what]: false };
  await state.refresh();
  await vi.waitFor(() => expect(find('storage-banner')).toBe(null));
});

it.each([['fr', 'Clé logicielle'], ['ar', 'مفتاح برمجي'], ['en', 'Software key']])('in %s says where the key is', async (lang, text) => {
  localStorage.setItem('hanout.lang', lang);
  const { sell, tap, seen, root } = await open({ language: lang });
  await sell();
  await tap('menu');
  await tap('system');
  await vi.waitFor(async () => expect((await seen('key-storage')).textContent).toBe(text));
  expect(root.textContent).not.toMatch(/\{\w+\}|undefined/);
});

const NOTICE = { reason: 'rolled_back', at: '2026-11-22T08:01', ended: '7K3QX', series: '9M2PA', streams: 1, lost: 3 };

it('a manager takes note that the books went on in a new series', async () => {
  const { sell, tap, pin, seen, find, root, commands } = await open({ notice: NOTICE });
  expect((await seen('notice-banner') as HTMLButtonElement).disabled).toBe(true);
  await sell();
  await tap('notice-banner');
  const text = (await seen('notice')).textContent;
  expect(text).toContain('La série 7K3QX est close, la série 9M2PA continue.');
  expect(text).toContain('Événements illisibles : 3');
  await tap('notice-understood');
  await pin('369258');
  await vi.waitFor(() => expect(find('notice-banner')).toBe(null));
  expect(commands('AcknowledgeNotice').length).toBe(2);
  expect(root.textContent).not.toMatch(/\{\w+\}/);
});

it.each(['restored', 'cloned', 'rolled_back', 'damaged', 'witness_missing', 'ledger_missing'])('says what happened: %s', async (reason) => {
  localStorage.setItem('hanout.lang', 'ar');
  const { seen } = await open({ language: 'ar', notice: { ...NOTICE, reason } });
  const said = (await seen('notice-banner')).textContent as string;
  expect(said.length).toBeGreaterThan(20);
  expect(said).not.toMatch(/\{\w+\}|undefined/);
});

const KEPT = { file: '7k3qx.db', series: '7K3QX', until: '2026-11-21T19:30', events: 120 };

it('takes over what an old journal holds, with a manager, and says what came of it', async () => {
  const { sell, tap, pin, seen, find, commands, till } = await open();
  till.streams = [{ ...KEPT }, { file: 'broken.db', series: null, until: null, events: 0 }];
  await sell();
  await tap('menu');
  await tap('system');
  await vi.waitFor(() => expect(find('streams')?.querySelectorAll('[data-testid=stream]').length).toBe(2));
  expect(find('streams')?.textContent).toContain('jusqu\'au 21/11/2026 19:30');
  expect(find('streams')?.textContent).toContain('illisible');
  await tap('recover-stream');
  await pin('369258');
  await seen('recovered');
  expect(find('system_recovered_receipts')?.textContent).toBe('2');
  expect(find('system_recovered_known')?.textContent).toBe('116');
  expect(commands('RecoverStream').length).toBe(2);
});

it('names a file that was found elsewhere, and says why it is refused', async () => {
  const { sell, tap, pin, seen, find, root, commands } = await open();
  await sell();
  await tap('menu');
  await tap('system');
  const field = await seen('recover-path') as HTMLInputElement;
  expect((find('recover-file') as HTMLButtonElement).disabled).toBe(true);
  field.value = ' /media/usb/ledger.db ';
  field.dispatchEvent(new Event('input', { bubbles: true }));
  await vi.waitFor(() => expect((find('recover-file') as HTMLButtonElement).disabled).toBe(false));
  await tap('recover-file');
  await pin('369258');
  await vi.waitFor(() => expect(root.textContent).toContain('/media/usb/ledger.db'));
  expect(find('recovered')).toBe(null);
  expect(commands('RecoverStream')[0]).toMatchObject({ file: '/media/usb/ledger.db' });
});

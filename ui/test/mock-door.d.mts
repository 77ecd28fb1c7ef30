export class MockTill {
  constructor(options?: Record<string, unknown>);
  handle(command: unknown): unknown;
  [name: string]: any;
}
export const VARIANTS: any[];
export function paperPng(width?: number, height?: number): string;

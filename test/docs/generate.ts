/** Brings the tables of `docs/reference.md` up to date: `npm run docs`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { REFERENCE, referenceTables } from './reference.ts';
import { fill } from './page.ts';

writeFileSync(REFERENCE, fill(readFileSync(REFERENCE, 'utf8'), await referenceTables()));

import { beforeEach, describe, expect, it } from 'vitest';
import { Availability } from '#src/kube/availability';
import { FakeClock } from '#test/fakes/clock';

let clock: FakeClock;
let availability: Availability;
let back: number;

beforeEach(() => {
  clock = new FakeClock();
  availability = new Availability({ clock });
  back = 0;
  availability.onBack(() => (back += 1));
});

describe('the end of an outage', () => {
  it('is told once, with the first answer', async () => {
    availability.failed();
    await clock.advance(2_000);
    availability.failed();
    await clock.advance(1_000);
    availability.answered();
    availability.answered();
    expect(back).toBe(1);
  });

  it('is told after each outage, to those who still listen', async () => {
    let other = 0;
    const stop = availability.onBack(() => (other += 1));
    for (let outage = 1; outage <= 2; outage += 1) {
      availability.failed();
      await clock.advance(3_000);
      availability.answered();
      expect(back).toBe(outage);
      stop();
    }
    expect(other).toBe(1);
  });

  it('is not told of a failure that was soon over', async () => {
    availability.failed();
    await clock.advance(2_999);
    availability.answered();
    expect(back).toBe(0);
  });

  it('is not told while the server answers others, however long some requests fail', async () => {
    for (let second = 0; second < 60; second += 1) {
      availability.failed();
      await clock.advance(1_000);
      availability.answered();
    }
    expect(back).toBe(0);
  });

  it('is not told before the time for which the server asked for patience is over', async () => {
    availability.failed(10_000);
    await clock.advance(5_000);
    availability.failed(1_000);
    availability.answered();
    await clock.advance(4_999);
    availability.answered();
    expect(back).toBe(0);
    await clock.advance(1);
    availability.answered();
    expect(back).toBe(1);
  });
});

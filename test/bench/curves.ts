/** What is drawn: both axes are logarithmic. */
export interface Drawing {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly curves: readonly {
    readonly name: string
    readonly colour: string
    readonly points: readonly { readonly x: number; readonly y: number }[]
  }[]
}

const [WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM] = [640, 360, 70, 40, 160, 50]

/** Curves as an SVG that reads on light and dark grounds. */
export function drawCurves({ title, x, y, curves }: Drawing): string {
  const points = curves.flatMap(curve => curve.points)
  const across = decadesOf(points.map(point => point.x))
  const up = decadesOf(points.map(point => point.y))
  const at = (value: number, [low, high]: readonly [number, number], from: number, to: number) =>
    from + ((Math.log10(value) - low) / Math.max(1, high - low)) * (to - from)
  const left = (value: number) => at(value, across, LEFT, WIDTH - RIGHT).toFixed(1)
  const top = (value: number) => at(value, up, HEIGHT - BOTTOM, TOP).toFixed(1)
  const text = (where: string, words: string) =>
    `<text ${where} font-family="sans-serif" font-size="12" fill="#777">${words}</text>`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}">`,
    text(`x="${LEFT}" y="20"`, title),
    ...ticks(across).map(value =>
      text(`x="${left(value)}" y="${HEIGHT - 28}" text-anchor="middle"`, value.toLocaleString('en')),
    ),
    ...ticks(up).map(value => {
      const line = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${top(value)}" y2="${top(value)}" stroke="#7774"/>`
      return line + text(`x="${LEFT - 8}" y="${top(value)}" text-anchor="end"`, `${value} ${y}`)
    }),
    text(`x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" text-anchor="middle"`, x),
    ...curves.flatMap(({ name, colour, points: all }, index) => [
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${all.map(point => `${left(point.x)},${top(point.y)}`).join(' ')}"/>`,
      `<rect x="${WIDTH - RIGHT + 16}" y="${TOP + index * 22}" width="12" height="12" fill="${colour}"/>`,
      text(`x="${WIDTH - RIGHT + 34}" y="${TOP + index * 22 + 10}"`, name),
    ]),
    '</svg>',
    '',
  ].join('\n')
}

/** The powers of ten around the values. */
function decadesOf(values: readonly number[]): readonly [number, number] {
  const logs = values.map(Math.log10)
  return [Math.floor(Math.min(...logs)), Math.ceil(Math.max(...logs))]
}

function ticks([low, high]: readonly [number, number]): number[] {
  return Array.from({ length: high - low + 1 }, (_, step) => Number((10 ** (low + step)).toPrecision(1)))
}

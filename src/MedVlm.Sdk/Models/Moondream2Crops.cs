using MedVlm.Imaging;

namespace MedVlm.Models;

/// <summary>
/// How Moondream2 cuts an image: into overlapping crops on a grid that suits its shape, whose features are laid together without the
/// overlap and pooled to the size of one crop's.
/// </summary>
/// <remarks>Reference: moondream/torch, image_crops.py and vision.py.</remarks>
/// <param name="Side">S: side of a crop in pixels.</param>
/// <param name="Patch">Side of a patch in pixels.</param>
/// <param name="Margin">Patches at each edge of a crop that its neighbour sees too.</param>
/// <param name="MaxCrops">Tiles that a picture is cut into at most, but for very long ones.</param>
internal sealed record CropGrid(int Side, int Patch, int Margin, int MaxCrops)
{
    /// <summary>Patches in a row of a crop.</summary>
    int Grid => Side / Patch;

    /// <summary>Patches of a row that no neighbour sees: from one tile to the next.</summary>
    int Inner => Grid - 2 * Margin;

    /// <summary>Rows and columns of tiles for an image of this size. Small images too are cut into many tiles, and so enlarged.</summary>
    public TileGrid Tiling(int width, int height)
    {
        int step = Inner * Patch, h = height - 2 * Margin * Patch, w = width - 2 * Margin * Patch;
        if (h <= step || w <= step)
            return new TileGrid(1, 1);

        int minRows = (h + step - 1) / step, minColumns = (w + step - 1) / step;
        if ((long)minRows * minColumns > MaxCrops)
        {
            double ratio = Math.Sqrt(MaxCrops / (double)((long)minRows * minColumns));
            return new TileGrid(Math.Max(1, (int)(minRows * ratio)), Math.Max(1, (int)(minColumns * ratio)));
        }

        int rows = Math.Max((int)Math.Sqrt((double)MaxCrops * h / w), minRows);
        int columns = Math.Max((int)Math.Sqrt((double)MaxCrops * w / h), minColumns);
        return rows * columns <= MaxCrops ? new TileGrid(rows, columns)
            : columns > rows ? new TileGrid(rows, MaxCrops / rows)
            : new TileGrid(MaxCrops / columns, columns);
    }

    /// <summary>The whole image, then the tiles row by row, S×S pixels each. Aspect ratios are not kept.</summary>
    public IEnumerable<RgbImage> Cut(RgbImage image, TileGrid tiling)
    {
        int step = Inner * Patch, overlap = 2 * Margin * Patch;
        yield return image.Resize(Side, Side, Resample.Lanczos);

        var enlarged = image.Resize(tiling.Columns * step + overlap, tiling.Rows * step + overlap, Resample.Lanczos);
        for (int row = 0; row < tiling.Rows; row++)
            for (int column = 0; column < tiling.Columns; column++)
                yield return enlarged.Crop(column * step, row * step, Side, Side);
    }

    /// <summary>
    /// The matrix [P, crops·P] that makes the tiles' features one map and pools it to P cells: each cell is the mean of the positions that
    /// it covers (torch's adaptive_avg_pool2d). The whole image, which is the first crop, has no part in it.
    /// </summary>
    /// <param name="tiling">Rows and columns of tiles.</param>
    /// <param name="matrix">Receives [P, crops·P].</param>
    public void FillPooling(TileGrid tiling, Span<float> matrix)
    {
        int patches = Grid * Grid, width = (1 + tiling.Rows * tiling.Columns) * patches;
        var (rows, columns) = (Cells(tiling.Rows), Cells(tiling.Columns));
        matrix.Clear();
        for (int i = 0; i < Grid; i++)
            for (int j = 0; j < Grid; j++)
            {
                var cell = matrix.Slice((i * Grid + j) * width, width);
                float share = 1f / (rows[i].Length * columns[j].Length);
                foreach (var (tileRow, y) in rows[i])
                    foreach (var (tileColumn, x) in columns[j])
                        cell[(1 + tileRow * tiling.Columns + tileColumn) * patches + y * Grid + x] = share;
            }
    }

    /// <summary>For each cell along one axis the positions of the map that it covers: which tile, and where in it.</summary>
    (int Tile, int Place)[][] Cells(int tiles)
    {
        int length = tiles * Inner + 2 * Margin;
        return [.. Enumerable.Range(0, Grid).Select(cell =>
        {
            int first = cell * length / Grid, end = ((cell + 1) * length + Grid - 1) / Grid;
            return Enumerable.Range(first, end - first).Select(Source).ToArray();
        })];

        // A tile keeps its margin only where no neighbour is.
        (int, int) Source(int position)
        {
            int tile = Math.Clamp((position - Margin) / Inner, 0, tiles - 1);
            return (tile, position - tile * Inner);
        }
    }
}

"""What the pages for decision makers state, in English and in Japanese: one computation for both languages."""

import recompute as again
from recompute import B, T, span

from statements import architectures, hybrid, pretrained, repaired, surfaces, table1
from statements.decide_values import (
    EPOCHS,
    SUM,
    SWINS,
    at_55,
    attention,
    cut_out,
    default,
    energy,
    enough,
    example,
    go,
    grouping,
    interval,
    least_speed,
    lite_at_half,
    lite_speed,
    masked,
    memory,
    misread,
    money,
    nothing_gained_by_zeros,
    one_shot,
    passes,
    patches,
    patches_cost_more,
    pays_after,
    power_share,
    printed,
    runs,
    sheet,
    swin,
    thresholds_of_time,
    tuned_losses,
    vit_at_28,
)
from statements.statement import Statement, count
from swinprune_lite.anatomy.modules import PRUNED_MODULES
from swinprune_lite.paper.numbers import paper_table
from swinprune_lite.report.costs import COMMON, UNMEASURED
from swinprune_lite.studies import criteria, profiles
from swinprune_lite.studies import surfaces as study


def both(page: str, english: str, japanese: str, values) -> list[Statement]:
    """A statement of a page in either language: its numbers come in the same order."""
    return [Statement(f"decide/{page}", english, values), Statement(f"decide/ja/{page}", japanese, values)]


EVERYWHERE = [
    Statement("*", "whose its numbers are, of {} kinds", count(4)),
    Statement("*", "の{}通りです。「初期値」とあるもの", count(4)),
]

BRIEF = [
    *both(
        "brief",
        "Try it in {} weeks on your own images and your own machine, and take nothing on trust. In the paper "
        "Swin-B, with {} % of its parameters gone and after {} epochs of fine-tuning, loses {} points of top-1 and {} "
        "points of top-5 accuracy. Without fine-tuning, and with {} % gone, it loses {} points of top-1.",
        "自社の画像と自社の機器で{}週間の検証を行い、何も鵜呑みにせずに決めてください。論文では、Swin-Bのパラメータ"
        "を{}%削減しても、{}エポックのファインチューニング（微調整）の後なら、低下はtop-1精度で{}ポイント、top-5"
        "精度で{}ポイントです。ファインチューニングをしない場合、{}%を削るとtop-1"
        "は{}ポイント下がります。どこを削るかを"
        "決めるのに画像は要りませんが、ファインチューニングと確認には要ります。重みをゼロにするだけでは、私た"
        "ちのCPUでは速くなりま"
        "せんでした。ヘッドや隠れユニットを丸ごと取り除けば速くなりました。",
        lambda: [
            4,
            *printed("Swin-B", "params_drop"),
            EPOCHS,
            *printed("Swin-B", "top1_drop", "top5_drop"),
            50,
            one_shot("Swin-B")[2],
            *nothing_gained_by_zeros(),
        ],
    ),
    *both(
        "brief",
        "Each weight is scored by its share of what is left of its own layer, and the scores compete within {} "
        "kinds of layer over the whole network. The score is known from elsewhere . The grouping is new, and the "
        "paper's own comparison gives it {} to {} points of top-1.",
        "各重みを「自分の層に残っている大きさ（二乗和）のうち何割を占めるか」で採点し、ネットワーク全体を通じて{}種類"
        "の層ごとに点数を競わせます。採点式そのものは既知のもの で、新しいのは層のまとめ方です。論文自身の比"
        "較では、ま"
        "とめ方の効果はtop-1で{}〜{}ポイントです。",
        lambda: [len(PRUNED_MODULES), *span(grouping())],
    ),
    *both(
        "brief",
        "With {} % of its parameters and {} % of its FLOPs gone Swin-T loses {} points of top-1; with {} % and {} % "
        "gone Swin-S loses {}.",
        "Swin-Tのパラメータを{}%、計算量（FLOPs）を{}%削ると、top-1は{}ポイント下がります。Swin-Sでは、それぞれ"
        "{}%と{}%を削ると、{}ポイント下がります。",
        lambda: [
            *printed("Swin-T", "params_drop", "flops_drop", "top1_drop"),
            *printed("Swin-S", "params_drop", "flops_drop", "top1_drop"),
        ],
    ),
    *both(
        "brief",
        "With {} % removed Swin-B is left with {} % (dense: {} %), Swin-T with {} % (dense: {} %).",
        "{}%を削ると、Swin-Bに残る精度は{}%（元は{}%）、Swin-Tでは{}%（元は{}%）です。",
        lambda: [50, *one_shot("Swin-B")[:2], *one_shot("Swin-T")[:2]],
    ),
    *both(
        "brief",
        "Our {} small Swins lose {} to {} points with {} % of the prunable weights removed by DIMAP. Up to there "
        "DIMAP and plain uniform pruning cannot be told apart.",
        "私たちの{}つの小型Swinでは、{}〜{}ポイントの低下にとどまります（DIMAPで対象の重みの{}%を削った場合）。",
        lite_at_half,
    ),
    *both(
        "brief",
        "There DIMAP leaves {} % (dense: {} %) when {} % of the prunable weights are gone.",
        "DIMAPで削ると、残る精度は{}%です（元は{}%、対象の重みの{}%を削った場合）。",
        lambda: [pretrained.top1("dimap"), pretrained.top1("dense", 0.0), 50],
    ),
    *both(
        "brief",
        "With {} % of the prunable weights at zero they run at {} to {} times the dense speed. With {} % of the "
        "MACs cut out as whole heads and hidden units they run at {} to {} times. On the lite models such a cut "
        "costs {} to {} points in the mean, after a short fine-tuning.",
        "対象となる重みの{}%をゼロにしても、速度は元の{}〜{}倍です。計算量の{}%をヘッドと隠れユニットごと取り"
        "除くと、{}〜{}倍になります。liteモデルでは、この削り方による精度低下は短いファインチューニングの後で"
        "平均{}〜{}ポ"
        "イントです。",
        lambda: [50, *masked(), 50, *cut_out(), *tuned_losses()],
    ),
    *both(
        "brief",
        "With {} % removed accuracy falls from {} to {} %. Light fine-tuning brings it back to {} %; a repair "
        "without any image brings it to {} %.",
        "{}%を削ると、精度は{}%から{}%に落ちます。軽いファインチューニングで{}%まで戻り、画像を一切使わない補"
        "正でも{}%まで戻ります。",
        lambda: [80, *map(surfaces.top, ("adapt", surfaces.CUT, surfaces.TUNED, surfaces.REPAIRED))],
    ),
    *both(
        "brief",
        "At {} and {} % the lite models lose at most {} points in the mean over trainings, without fine-tuning.",
        "枝刈り率{}%と{}%では、liteモデルの低下は、ファインチューニングなしでも、複数回の学習の平均で{}ポイント以下です。",
        lambda: [15, 35, table1.early_one_shot()[0]],
    ),
]
ON_SITE = [
    *both(
        "on_site",
        "Fine-tuning and checking need yours, and they can run inside the company. Patches that are too wide for a"
        " defect cost more than the cut does, a cut that is too deep shows first in some classes, and only a clock"
        " on the target tells the time.",
        "欠陥に対してパッチが粗すぎる影響は、枝刈りそのものの影響を上回ります。",
        patches_cost_more,
    ),
    *both(
        "on_site",
        "When {} % of the weights of lite small go, its layers keep {} to {} % in the mean of the first stage and "
        "{} to {} % in that of the last.",
        "lite smallの重みの{}%を削ると、各層に残る割合は、最初のステージの平均で{}〜{}%、最後のステー"
        "ジの平均で{}〜{}%です。",
        lambda: [45, *again.kept_stage(1), *again.kept_stage(4)],
    ),
    *both(
        "on_site",
        "When the same share goes, the first block keeps {} to {} % and the last {} to {} %.",
        "同じ割合を削ると、最初のブロックには{}〜{}%、最後のブロックには{}〜{}%が残ります。",
        lambda: [*pretrained.block(1), *pretrained.block(pretrained.found()["layers"].block.max())],
    ),
    *both(
        "on_site",
        "The last stage holds {} % of the prunable weights and {} % of their MACs.",
        "最後のステージは、対象となる重みの{}%を占めますが、その計算量では{}%にすぎません。",
        lambda: [
            architectures.at(architectures.STAGE_WEIGHTS, "Swin", "stage 4"),
            architectures.at(architectures.STAGE_MACS, "Swin", "stage 4"),
        ],
    ),
    *both(
        "on_site",
        "How far (lite models). At {} % small and base lose {} ± {} and {} ± {} points without fine-tuning, tiny "
        "{} ± {}. At {} % DIMAP on base is behind one magnitude threshold for the whole model.",
        "枝刈り率{}%で、smallは{} ± {}ポイント、baseは{} ± {}ポイント、tinyは{} ± {"
        "}ポイント、ファインチューニングなしで下がります。{}%では、baseのDIMAPは、重みの大きさにモデル全体で"
        "ひとつのしき"
        "い値を置く方法に及びません。",
        lambda: [55, *at_55(), 80, not again.stars("global", (0.8,))[B, 0.8]],
    ),
    *both(
        "on_site",
        "On lite tiny labels alone lose {} ± {} points more than the dense model's answers as a teacher, at {} % "
        "of the MACs.",
        "lite tinyでは、正解ラベルだけでファインチューニングすると、元のモデルの出力を教師とする場合より{} ±"
        " {}ポイン"
        "ト多く下がります（計算量の{}%を削った場合）。",
        lambda: [*again.with_spread(again.losses(teacher="labels") - again.losses()), 50],
    ),
    *both(
        "on_site",
        "The paper's is not light: {} epochs of ImageNet-1k, {} images with their labels.",
        "ImageNet-1kを{}エポック、ラベル付き画像で延べ{}枚です。",
        lambda: [EPOCHS, EPOCHS * profiles.TRAINING_IMAGES],
    ),
    *both(
        "on_site",
        "Of the {} points that an {} % cut takes, {} steps on {} labelled surfaces bring back {}. After {} steps "
        "{} labelled surfaces leave {} ± {} points missing, {} leave {} ± {} and {} leave {} ± {}.",
        "枝刈りで失った{}ポイント（枝刈り率{}%）のうち、{}ステップのファインチューニングとラベル付き{}枚で{}"
        "ポイントが戻り"
        "ます。{}ステップの後に残る低下は、ラベル付き{}枚で{} ± {}ポイント、{}枚で{} ± {}ポイント、"
        "{}枚で{} ± {}ポイントです。",
        lambda: [
            surfaces.lost(surfaces.CUT)[0],
            80,
            study.CURVE[0],
            study.LABELLED[0],
            surfaces.regained(study.LABELLED[0]),
            study.LIGHT,
            *(value for each in study.LABELLED for value in (each, *surfaces.after(each, study.LIGHT))),
        ],
    ),
    *both(
        "on_site",
        "Pruned before it is adapted or after, the tuned models are {} ± {} points apart, which tells no difference.",
        "自社画像への適応の前に削っても後に削っても、ファインチューニング後の精度の差は{} ± {}ポイントで、区"
        "別できません。",
        surfaces.orders_apart,
    ),
    *both(
        "on_site",
        "Swin-T reads patches of {} × {} pixels in its first stage and of {} × {} in its last, a side of {} "
        "patches and of {} for an image of {} pixels.",
        "Swin-Tが読むパッチは、最初のステージで{} × {}画素、最後のステージで{} × {}画素で、縦横のパ"
        "ッチ数はそれぞれ{}から{}になります（縦横{}画素の画像の場合）。",
        patches,
    ),
    *both(
        "on_site",
        "A camera of {} the pixels a side costs {} ± {} points of the recall of defects of {} to {} pixels. "
        "Patches that are {} as wide cost {} ± {}, and narrow ones take {} times the MACs.",
        "カメラの縦横の画素数を{}にすると、再現率は{} ± {}ポイント下がります（{}〜{}画素の欠陥）。パッチの"
        "幅を{}倍にすると{} ± {}ポイント下がり、細かいパッチには{}倍の計算量がかかります。",
        lambda: [
            0.5,
            *surfaces.apart("64", "32x2"),
            2,
            6,
            2,
            *surfaces.apart("32x2", "32"),
            surfaces.macs("32x2") / surfaces.macs("32"),
            *surfaces.halves(),
        ],
    ),
    *both(
        "on_site",
        "At {} % it moves that recall by {} to {} points. At {} % what it does depends on the view.",
        "枝刈り率{}%では、この再現率の変化は{}〜{}ポイントです。{}%では、撮影・入力条件（カメラとパッチの組み合わせ）"
        "によって結果が変わります。",
        lambda: [55, *surfaces.moved(2, 6), 80],
    ),
    *both(
        "on_site",
        "At {} % cracks lose {} ± {} points and missing threads {} ± {}; no other class loses more than its interval.",
        "枝刈り率{}%で、ひび割れは{} ± {}ポイント、糸抜けは{} ± {}ポイント下がり、ほかのクラスの低下は"
        "区間の幅に収まります。",
        lambda: [
            55,
            *surfaces.paid(surfaces.CUT, study.LOW, "crack", "missing thread"),
            surfaces.clear_classes(surfaces.CUT, study.LOW) == ["crack", "missing thread"],
        ],
    ),
    *both(
        "on_site",
        "At {} % clean surfaces lose {} ± {} points, while the defects that are called clean go from {} to {} %.",
        "枝刈り率{}%で、良品の再現率は{} ± {}ポイント下がり、欠陥を良品と見なす割合は{}%から{}%になります。",
        lambda: [
            80,
            *surfaces.paid(surfaces.CUT, study.RATIO, "clean"),
            *(surfaces.calibration().missed[each] for each in ("dense", "80 % cut")),
        ],
    ),
    *both(
        "on_site",
        "The calibration error goes from {} to {} points at {} %, so an alarm's threshold has to be set anew.",
        "較正誤差は{}ポイントから{}ポイントになり（枝刈り率{}%）、警報のしきい値は決め直しが必要です。",
        lambda: [*(surfaces.calibration().error[each] for each in ("dense", "80 % cut")), 80],
    ),
    *both(
        "on_site",
        "At {} % the activations of {} images bring {} ± {} points; the repair without any image brings {} ± {}.",
        "枝刈り率{}%で、{}枚の画像の活性値を採点に使うと{} ± {}ポイント改善します。画像を使わない補正では{"
        "} ± {}ポイント改善します。",
        lambda: [80, criteria.USUAL, *hybrid.differs(hybrid.ACTIVATIONS.format("cut")), *hybrid.differs(hybrid.REPAIR)],
    ),
    *both(
        "on_site",
        "There the activations bring {} to {} points over its {} sets of weights, and the repair brings {} to {}.",
        "活性値を使った場合の変化は{}〜{}ポイント（{}組の重み）で、補正では{}〜{}ポイント改善します。",
        lambda: [
            *again.span(hybrid.apart(hybrid.ACTIVATIONS.format("cut"))),
            len(hybrid.reported(hybrid.TINY)),
            *again.span(hybrid.apart(hybrid.REPAIR)),
        ],
    ),
    *both(
        "on_site",
        "With {} % of the MACs gone the peak of memory is {} to {} % of the dense model's.",
        "計算量の{}%を取り除くと、メモリの最大使用量は元の{}〜{}%です。",
        memory,
    ),
    *both(
        "on_site",
        "Attention between its matrices is {} % of the MACs and {} % of the time.",
        "行列に挟まれたアテンション（注意機構）の計算は、計算量の{}%ですが、時間の{}%を占めます。",
        attention,
    ),
]
COSTS = [
    *both(
        "costs",
        "It saves a share of the busy hours, {} - 1/s for a measured speed-up of s, and nothing where s is {}.",
        "実測した高速化率をsとすると{} - 1/sの割合で、sが{}なら何も減りません。",
        count(1, 1),
    ),
    *both(
        "costs",
        "| images a day, all machines | N | {} to {} |",
        "| 1日あたりの画像枚数（全機器の合計） | N | {}〜{}枚 |",
        lambda: COMMON["images"],
    ),
    *both(
        "costs",
        "| time for one image, dense | t | {} ms |",
        "| 画像1枚あたりの処理時間（枝刈り前） | t | {}ミリ秒 |",
        lambda: [UNMEASURED["milliseconds"]],
    ),
    *both(
        "costs",
        "| machines that run now | M | {} |",
        "| 現在の台数 | M | {}台 |",
        lambda: [COMMON["machines"]],
    ),
    *both(
        "costs",
        "| price of an hour of one machine | p | {} to {} USD, or {} to {} JPY |",
        "| 機器の時間単価 | p | {}〜{} USD、または{}〜{}円 |",
        lambda: default("price"),
    ),
    *both(
        "costs",
        "| power of one at work | w | {} to {} W |",
        "| 稼働中の消費電力 | w | {}〜{}ワット |",
        lambda: COMMON["watts"],
    ),
    *both(
        "costs",
        "| price of a kWh | e | {} to {} USD, or {} to {} JPY |",
        "| 電力単価（1kWhあたり） | e | {}〜{} USD、または{}〜{}円 |",
        lambda: default("power_price"),
    ),
    *both(
        "costs",
        "| years | Y | {} |",
        "| 年数 | Y | {}年 |",
        lambda: [COMMON["years"]],
    ),
    *both(
        "costs",
        "| speed-up on the target | s | {} until it is measured |",
        "| 実機での高速化率 | s | 測るまでは{} |",
        lambda: UNMEASURED["speedup"][:1],
    ),
    *both(
        "costs",
        "The machines are busy for {} to {} hours a day in sum, which is {} to {} % of the hours of {} machines. "
        "Over {} years the dense model costs {} to {} USD or, in thousands of JPY, {} to {}.",
        "稼働時間は合計で1日あたり{}〜{}時間となり、これは全時間の{}〜{}%にあたります（{}台の場合）。{}"
        "年間の枝刈り前の費用は{}〜{} USD、円では{}〜{}千円です。",
        example,
    ),
    *both(
        "costs",
        "| {} | {} | {} |",
        "| {} | {} | {} |",
        lambda: money(1, 1),
    ),
    *both(
        "costs",
        "| {} | {} to {} | {} to {} |",
        "| {} | {}〜{} | {}〜{} |",
        lambda: money(*2 * go("speedup")),
    ),
    *both(
        "costs",
        "| lite tiny: {} to {} | {} to {} | {} to {} |",
        "| lite tiny {}〜{} | {}〜{} | {}〜{} |",
        lambda: money(*lite_speed()),
    ),
    *both(
        "costs",
        "| Swin-T: {} to {} | {} to {} | {} to {} |",
        "| Swin-T {}〜{} | {}〜{} | {}〜{} |",
        lambda: money(*cut_out("Swin-T")),
    ),
    *both(
        "costs",
        "| {} | {} | {} of {} |",
        "| {} | {} | {} / {} |",
        lambda: energy(1, 1),
    ),
    *both(
        "costs",
        "| {} | {} to {} | {} of {} |",
        "| {} | {}〜{} | {} / {} |",
        lambda: energy(*2 * go("speedup")),
    ),
    *both(
        "costs",
        "| lite tiny: {} to {} | {} to {} | {} of {} |",
        "| lite tiny {}〜{} | {}〜{} | {} / {} |",
        lambda: energy(*lite_speed()),
    ),
    *both(
        "costs",
        "| Swin-T: {} to {} | {} to {} | {} to {} of {} |",
        "| Swin-T {}〜{} | {}〜{} | {}〜{} / {} |",
        lambda: energy(*cut_out("Swin-T")),
    ),
    *both(
        "costs",
        "A speed-up of {} is what zeros in place bring, and what counts until something is timed. That of {} is a "
        "threshold to begin with ( ). Those of {} to {} are of lite tiny and those of {} to {} of Swin-T, both on "
        "our CPU with {} % of the MACs gone.",
        "{}は、重みをゼロにしただけの場合の値で、時間を測るまではこの値を使います。{}は検証の初期の基準値です（ ）"
        "。{}〜{}はlite tiny、{}〜{}はSwin-Tの値で、どちらも私たちのCPUで計算量の{}%を取り"
        "除いて測りました。",
        lambda: [1, *go("speedup"), *lite_speed(), *cut_out("Swin-T"), 50],
    ),
    *both(
        "costs",
        "At a load of {} to {} % fewer machines may do without any pruning, unless the peaks forbid it.",
        "稼働率が{}〜{}%なら、ピーク時の処理が間に合う限り、枝刈りをしなくても台数を減らせるかもしれません。",
        lambda: example()[2:4],
    ),
    *both(
        "costs",
        "At {} times it is {} % of the busy hours, at {} times {} %.",
        "{}倍で減るのは稼働時間の{}%、{}倍で{}%です。",
        lambda: [*go("speedup"), 100 * (1 - 1 / go("speedup")[0]), 2, 50],
    ),
    *both(
        "costs",
        "Images, time and years move the dense cost in proportion, the price of the hour nearly so, power and its "
        "price hardly.",
        "枚数、処理時間、年数は枝刈り前の費用に比例して効き、時間単価もほぼ比例しますが、電力とその単価は"
        "ほとんど効きません。",
        lambda: [max(power_share()) < 0.05],
    ),
    *both(
        "costs",
        "From the low to the high end of the defaults the dense cost grows {} times.",
        "初期値の下限から上限までで、枝刈り前の費用は{}倍になります。",
        lambda: [sheet("USD", 1, 1)["dense"][1] / sheet("USD", 1, 1)["dense"][0]],
    ),
    *both(
        "costs",
        "With a sum of {} USD, which is a default too, the last row of the example pays after {} to {} years, the "
        "row of {} after {} to {}.",
        "一時費用を{} USD（これも初期値）とすると、計算例の末尾の行では{}〜{}年、{}倍の行では{}〜{}年で回収できます。",
        lambda: [SUM, *pays_after(*cut_out("Swin-T")), *go("speedup"), *pays_after(*2 * go("speedup"))],
    ),
]
PROOF = [
    *both(
        "proof",
        "# A proof of concept in {} weeks",
        "# {}週間の検証計画（PoC）",
        count(4),
    ),
    *both(
        "proof",
        "Go if there are at least {} images, and the dense model reaches what it is said to reach.",
        "画像が{}枚以上あり、元のモデルが公称の精度に達すること。",
        lambda: go("images"),
    ),
    *both(
        "proof",
        "Go if even the upper end of the 95 % interval of top-1's loss is at most {} point, no class loses more than "
        "{} points, and the calibration error rises by at most {} points.",
        "top-1の低下の95%区間の上限が{}ポイント以下、どのクラスの低下も{}ポイント以下、較正誤差の増加が{}ポイント"
        "以下であること。",
        lambda: go("loss", "worst_class", "calibration"),
    ),
    *both(
        "proof",
        "Go if it is at least {} times as fast, with p95 at most {} milliseconds, memory at most {} % and file at "
        "most {} % of the dense model's.",
        "速度が元の{}倍以上、p95が{}ミリ秒以下、メモリが元の{}%以下、ファイルサイズが元の{}%以下であること。",
        lambda: go("speedup", "p95", "memory", "file"),
    ),
    *both(
        "proof",
        "Go if even the upper end of the 95 % interval of top-1's loss is at most {} points, and the saving is above "
        "{} after what it takes to get there.",
        "top-1の低下の95%区間の上限が{}ポイント以下、一時費用を差し引いた削減額が{}を上回ること。",
        lambda: go("tuned_loss", "saving"),
    ),
    *both(
        "proof",
        "At d = {} % that is {} points with {} images, {} with {} and {} with {}.",
        "d = {}%なら、{}ポイント（{}枚）、{}ポイント（{}枚）、{}ポイント（{}枚）となります。",
        lambda: [5, *interval(1000), *interval(2000), *interval(10_000)],
    ),
    *both(
        "proof",
        "So with {} images a model without any loss passes week {} only if dense and pruned disagree on at most {}"
        " %. A class needs its own count: at a recall of {} %, {} images of it give {} points.",
        "したがって{}枚の場合、まったく精度が下がっていないモデルでも、第{}週を通過できるのは食い違いが{}%以下の"
        "ときに限られます。クラスごとにも枚数が要ります。再現率{}%では、{}枚で{}ポイントになります。",
        enough,
    ),
    *both(
        "proof",
        "At {} % tiny, small and base lose {} ± {}, {} ± {} and {} ± {} points of top-1, without repair or "
        "fine-tuning: by top-1 all {} pass. At {} % they lose {} ± {}, {} ± {} and {} ± {}, and none passes.",
        "枝刈り率{}%で、tinyは{} ± {}、smallは{} ± {}、baseは{} ± {}ポイント、to"
        "p-1が下がります（補正もファインチューニングもなし）。top-1の基準は{}つとも通過します。"
        "{}%ではそれぞれ{} ± {}、{} ± {}、{} ± {}ポイント下がり、どれも通過しません。",
        lambda: [35, *passes(0.35), 3, 55, *passes(0.55)],
    ),
    *both(
        "proof",
        "With zeros in place none passes; with {} % of the MACs gone as whole heads and hidden units all {} are at"
        " least {} times as fast.",
        "計算量の{}%をヘッドと隠れユニットごと取り除くと、{}つとも{}倍以上になります。",
        lambda: [50, 3, least_speed(), *thresholds_of_time()],
    ),
    *both(
        "proof",
        "So cut and tuned, the {} runs lose {} to {} points. None of them passes at {}.",
        "こうして削ってファインチューニングした{}回分の学習では、低下は{}〜{}ポイントです。基準値{}を満たすも"
        "のはありません。",
        runs,
    ),
    *both(
        "proof",
        "A no-go is a result: it costs {} weeks and saves the rest.",
        "{}週間で済み、その先の費用を節約できます。",
        count(4),
    ),
]
SUPPLIER = [
    *both(
        "supplier",
        "| Is that top-1 or top-5? | both, and each class | top-5 alone: in the paper Swin-T loses {} points of "
        "top-1 and {} of top-5 in the same row |",
        "| top-1とtop-5のどちらですか？ | 両方と、クラスごとの値 | top-5だけ（論文のSwin-T"
        "は同じ行で、top-1が{}ポイント、top-5が{}ポイント下がる） |",
        lambda: printed("Swin-T", "top1_drop", "top5_drop"),
    ),
    *both(
        "supplier",
        "| Points, or percent of something? | points of accuracy, on so many images | a relative figure: {} points"
        " were called {} % |",
        "| ポイントですか、何かに対する割合ですか？ | 精度のポイント差と画像の枚数 | 相対値（{}ポイントが{}"
        "%と呼ばれた例がある） |",
        lambda: [misread()[4], misread()[0]],
    ),
    *both(
        "supplier",
        '| Before or after fine-tuning? | both, with epochs, images and labels | "light", without a number: the '
        "paper's is {} epochs of ImageNet-1k |",
        "| ファインチューニング（微調整）の前ですか、後ですか？ | 両方と、エポック数、画像、ラベルの数 | 数値"
        "のない「軽いファインチューニング」（論文"
        "はImageNet-1kで{}エポック） |",
        lambda: [EPOCHS],
    ),
    *both(
        "supplier",
        "| How many trainings? | more than one, with an interval | one: between {} trainings of our lite tiny "
        "DIMAP's lead over uniform pruning at {} % goes from {} to {} points |",
        "| 何回学習した結果ですか？ | 複数回と、その区間 | 単発（私たちのlite tinyの{}回の学習では、"
        "枝刈り率{}%で、均等な枝刈りに対するDIMAPの差が{}〜{}ポイントに散らばる） |",
        lambda: [3, 90, *span(again.apart(T, 0.9))],
    ),
    *both(
        "supplier",
        '| Zeros, or smaller matrices? | shapes before and after, a file that loads without special code | "{} % '
        'fewer FLOPs" and no time |',
        "| ゼロですか、小さい行列ですか？ | 前後の行列の形と、特別なコードなしで読めるファイル | 時間を示さずに"
        "「FLOPsを{}%削減」 |",
        lambda: printed("Swin-B", "flops_drop"),
    ),
]
PHRASES = [
    *both(
        "phrases",
        '"In the paper Swin-B with {} % of its parameters gone loses {} points of top-1." It rests on the paper\'s '
        "table {}. Caveat: after {} epochs of fine-tuning on the data that it was trained on; with {} % gone and "
        "no fine-tuning it loses {} points.",
        "「論文では、Swin-Bのパラメータを{}%削減しても、top-1精度の低下は{}ポイントです。」 根拠は論"
        "文の表{}です。但し書き：これは元の学習データで{}エポックファインチューニングした後の値です。{}%を削"
        "ってファインチューニングをしない"
        "場合は{}ポイント下がります。",
        lambda: [*printed("Swin-B", "params_drop", "top1_drop"), 1, EPOCHS, 50, one_shot("Swin-B")[2]],
    ),
    *both(
        "phrases",
        "It rests on our lite models, which lose at most {} points at {} % in the mean over trainings. Caveat: they "
        "have room to spare; a pretrained ViT loses {} points at {} %.",
        "根拠は私たちのliteモデルで、低下は複数回の学習の平均で{}ポイント以下です（枝刈り率{}%）。但し書き：liteモデルには余裕"
        "があります。事前学習済みViTでは{}ポイント下がります（枝刈り率{}%）。",
        lambda: [table1.early_one_shot()[0], 35, *vit_at_28()],
    ),
    *both(
        "phrases",
        "It rests on the repair: on drawn surfaces it returns {} of {} points. Caveat: a model without room still "
        "loses, lite micro {} points at {} %.",
        "根拠は補正で、人工の表面画像では{}ポイントを取り戻します（低下は{}ポイント）。但し書き：余裕のないモデルで"
        "は低下が残り、lite microでは{}ポイントです（枝刈り率{}%）。",
        lambda: [
            surfaces.top(surfaces.REPAIRED) - surfaces.top(surfaces.CUT),
            surfaces.lost(surfaces.CUT)[0],
            repaired.still_lost(0.8)[1],
            80,
        ],
    ),
    *both(
        "phrases",
        "It rests on our CPU: {} to {} times for Swin-T with {} % of the MACs gone.",
        "根拠は私たちのCPUでの測定で、Swin-Tが{}〜{}倍になりました（計算量の{}%を除去）。",
        lambda: [*cut_out("Swin-T"), 50],
    ),
    *both(
        "phrases",
        '"Light fine-tuning wins most of it back." It rests on drawn surfaces: {} steps bring an accuracy of {} % '
        "back to {} %, of {} % before the cut. Caveat: with {} labelled images; {} labelled ones leave {} points "
        "missing.",
        "「軽いファインチューニングで、低下の大部分が戻ります。」 根拠は人工の表面画像で、{}ステップにより{}%"
        "から{}%に戻りま"
        "す（枝刈り前は{}%）。但し書き：ラベル付き{}枚を使った場合です。{}枚では{}ポイントの低下が残ります。",
        lambda: [
            study.LIGHT,
            *map(surfaces.top, (surfaces.CUT, surfaces.TUNED, "adapt")),
            study.LABELLED[-1],
            study.LABELLED[0],
            surfaces.after(study.LABELLED[0], study.LIGHT)[0],
        ],
    ),
    *both(
        "phrases",
        '"We propose a proof of concept of {} weeks and decide by numbers that are fixed beforehand."',
        "「{}週間の検証を行い、あらかじめ決めた数値で判断することを提案します。」",
        count(4),
    ),
    *both(
        "phrases",
        '"{} the cost." Say: {} the MACs, and this much time on the target.',
        "「費用は{}になります」 こう言い換えます：計算量は{}になり、実機での時間はこれだけ減ります。",
        count(0.5, 0.5),
    ),
]
PRESS = [
    *both(
        "press",
        "Top-5 of Swin-B falls by {} points with {} % of its parameters and {} % of its FLOPs gone.",
        "Swin-Bのtop-5の低下は{}ポイントです。 削ったのはパラメータの{}%、計算量の{}%です。",
        lambda: printed("Swin-B", "top5_drop", "params_drop", "flops_drop"),
    ),
    *both(
        "press",
        '"Top-5 rises by {} %." Table {} prints {} and {} %: {} points, or {} of {} images. The {} % is a share of'
        " the error of {} %. By the same measure the {} points of Swin-B are an error that grows by {} %.",
        "「top-5が{}%上がる」 表{}の値は{}%と{}%です。差は{}ポイント、画像にして{}枚（{}枚中）で"
        "す。{}%とは、{}%の誤り率に対する割合です。同じ測り方をすれば、Swin-Bの{}ポイントは誤り率の{}%"
        "の増加にあたります。",
        misread,
    ),
    *both(
        "press",
        '"Hardly any loss" , said of top-5. Top-1 is the number that a line lives by: it falls by {} points for '
        "Swin-B, {} for Swin-S and {} for Swin-T, where top-5 falls by {}, {} and {}.",
        "「精度の劣化がほとんどない」 これはtop-5の話です。現場で効くのはtop-1で、低下はSwin-Bで{}ポ"
        "イント、Swin-Sで{}ポイント、Swin-Tで{}ポイントです。同じ行のtop-5の低下は{}、{}、{}"
        "ポイントです。",
        lambda: [*(printed(model, f"top{top}_drop")[0] for top in (1, 5) for model in SWINS)],
    ),
    *both(
        "press",
        "The authors publish {} pruned checkpoints and no code.",
        "「コードは公開されている」 著者が公開しているのは枝刈り済みの重み{}個で、コードはありません。",
        lambda: [len(paper_table("table1_pruned_swin").query("variant != 'dense'"))],
    ),
    *both(
        "press",
        "The paper's takes {} epochs of ImageNet-1k, and it prints no shorter one. Without any, at {} %, Swin-B "
        "loses {} points, Swin-S {} and Swin-T {}.",
        "「短いファインチューニング（微調整）で足りる」 論文のファインチューニングはImageNet-1kの{}エポックで"
        "、それより短いものは載っていません"
        "。ファインチューニングをしない場合、枝刈り率{}%で、Swin-Bは{}ポイント、Swin-Sは{}ポイント、Swin-Tは"
        "{}ポイント下がります。",
        lambda: [EPOCHS, 50, *(one_shot(model)[2] for model in SWINS)],
    ),
    *both(
        "press",
        "Both halves are true of different rows: no data for the masks, and {} labelled images for the accuracy.",
        "データが要らないのはマスクを作るところで、精度を保つには延べ{}枚のラベル付き画像を使っています。",
        lambda: [EPOCHS * profiles.TRAINING_IMAGES],
    ),
    *both(
        "press",
        "It is the other way round: in Swin-T the first stage reads patches of {} pixels a side, the last of {}.",
        "Swin-Tの最初のステージが読むパッチは縦横{}画素、最後のステージでは{}画素です。",
        lambda: list(swin()[:2]),
    ),
    *both(
        "press",
        "There are {} of them.",
        "クエリ・キー・バリューの行列、出力の射影、MLPの{}つがあります。",
        lambda: [len(PRUNED_MODULES)],
    ),
    *both(
        "press",
        "New is the grouping, and table {} gives it {} points for Swin-T, {} for Swin-S and {} for Swin-B.",
        "新しいのは層のまとめ方で、表{}によればその効果はSwin-Tで{}ポイント、Swin-Sで{}ポイント、Sw"
        "in-Bで{}ポイントです。",
        lambda: [4, *grouping()],
    ),
    *both(
        "press",
        "On our lite base that is ahead of DIMAP at {} and {} %.",
        "私たちのlite baseでは、それがDIMAPを上回ります（枝刈り率{}%、{}%）。",
        lambda: [70, 80, *(not again.stars("global", (0.7, 0.8))[B, ratio] for ratio in (0.7, 0.8))],
    ),
    *both(
        "press",
        "On our CPU Swin-T, S and B with {} % of the weights at zero run at {} to {} times the dense speed.",
        "私たちのCPUでは、重みの{}%をゼロにしたSwin-T、S、Bの速度は元の{}〜{}倍です。",
        lambda: [50, *masked()],
    ),
]

STATEMENTS = [*EVERYWHERE, *BRIEF, *ON_SITE, *COSTS, *PROOF, *SUPPLIER, *PHRASES, *PRESS]
